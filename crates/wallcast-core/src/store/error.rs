//! What can go wrong with the store, told so that a person knows what to do next.

use std::path::{Path, PathBuf};

use rusqlite::ErrorCode;

/// Why the data folder or its database could not be opened. Each text names the file.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The folder cannot be made or entered.
    #[error("cannot use the data folder {}: {source}; check data_dir and its permissions", path.display())]
    Folder {
        /// The folder.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Another daemon or command holds the folder.
    #[error("the data folder {} is in use by another wallcast; stop that one first", .0.display())]
    Locked(PathBuf),
    /// The file is no SQLite database or fails its check.
    #[error("the database {} is damaged ({detail}); it was left as it is: bring a backup back by `wallcast restore`, or move it away to start anew", path.display())]
    Damaged {
        /// The database file.
        path: PathBuf,
        /// SQLite's words.
        detail: String,
    },
    /// A SQLite database of another program.
    #[error("{} is not a Wallcast database; it was left as it is: choose another data_dir", .0.display())]
    Foreign(PathBuf),
    /// Written by a later version.
    #[error("the database {} has schema {found}, newer than this program's {known}; install the newer Wallcast again", path.display())]
    Newer {
        /// The database file.
        path: PathBuf,
        /// Its schema version.
        found: i64,
        /// Ours.
        known: i64,
    },
    /// SQLite refused for another reason.
    #[error("cannot open the database {}: {source}; check that its disk has space left and takes writes", path.display())]
    Sqlite {
        /// The database file.
        path: PathBuf,
        /// Why.
        source: rusqlite::Error,
    },
    /// The copy of the house in Home Assistant's backup cannot be put back.
    #[error(transparent)]
    HomeAssistantCopy(Box<RestoreError>),
    /// The system gave no thread.
    #[error("cannot start a thread for the store: {0}")]
    Thread(std::io::Error),
}

impl OpenError {
    /// Sorts SQLite's error: damage is told apart from the rest.
    pub(super) fn sqlite(path: &Path, source: rusqlite::Error) -> Self {
        let path = path.to_owned();
        match source.sqlite_error_code() {
            Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt) => Self::Damaged {
                path,
                detail: source.to_string(),
            },
            _ => Self::Sqlite { path, source },
        }
    }
}

/// Why a read or write failed.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The disk is full, gone, read-only or broken: worth trying again later.
    #[error("the store cannot write now: {0}")]
    Unavailable(String),
    /// The store's threads have ended: the daemon is stopping.
    #[error("the store has stopped")]
    Stopped,
    /// Anything else SQLite said: a fault of ours.
    #[error("the store failed: {0}")]
    Failed(rusqlite::Error),
    /// A change panicked; it was rolled back alone.
    #[error("a change to the store failed inside; it was rolled back")]
    Panicked,
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        match error.sqlite_error_code() {
            Some(
                ErrorCode::DiskFull
                | ErrorCode::SystemIoFailure
                | ErrorCode::ReadOnly
                | ErrorCode::CannotOpen
                | ErrorCode::PermissionDenied
                | ErrorCode::DatabaseCorrupt
                | ErrorCode::NotADatabase
                | ErrorCode::DatabaseBusy
                | ErrorCode::DatabaseLocked
                | ErrorCode::OutOfMemory,
            ) => Self::Unavailable(error.to_string()),
            _ => Self::Failed(error),
        }
    }
}

/// Why a copy could not be made.
#[derive(Debug, thiserror::Error)]
pub enum CopyError {
    /// SQLite's reason, also that of a full disk.
    #[error(transparent)]
    Sqlite(#[from] rusqlite::Error),
    /// The system's.
    #[error(transparent)]
    Io(#[from] std::io::Error),
}

/// Why nothing was restored. Each text says what to do.
#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    /// There is no such file.
    #[error("there is no file {}", .0.display())]
    Missing(PathBuf),
    /// The file cannot be read.
    #[error("cannot read {}: {cause}", file.display())]
    Unreadable {
        /// The file.
        file: PathBuf,
        /// Why.
        cause: CopyError,
    },
    /// It is not whole.
    #[error("{} is damaged ({detail}); nothing was changed, use another backup", file.display())]
    Damaged {
        /// The file.
        file: PathBuf,
        /// SQLite's words.
        detail: String,
    },
    /// Of another program, or empty.
    #[error("{} is not a backup of Wallcast; nothing was changed", .0.display())]
    Foreign(PathBuf),
    /// Written by a later version.
    #[error("{} has schema {found}, newer than this program's {known}; nothing was changed, install the newer Wallcast first", file.display())]
    Newer {
        /// The file.
        file: PathBuf,
        /// Its schema version.
        found: i64,
        /// Ours.
        known: i64,
    },
    /// The data folder is in use, or cannot be used.
    #[error(transparent)]
    Folder(OpenError),
    /// The disk.
    #[error("cannot restore into the data folder {}: {cause}", folder.display())]
    Write {
        /// The data folder.
        folder: PathBuf,
        /// Why.
        cause: CopyError,
    },
}
