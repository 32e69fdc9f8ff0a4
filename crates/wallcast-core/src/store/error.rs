//! The errors of opening, using, copying and restoring the database. Texts for operators name the file and the remedy.

use std::path::{Path, PathBuf};

use rusqlite::ErrorCode;

/// Why the data folder or its database could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The folder cannot be created or accessed.
    #[error("cannot use the data folder {}: {source}; check data_dir and its permissions", path.display())]
    Folder {
        /// The folder.
        path: PathBuf,
        /// The cause.
        source: std::io::Error,
    },
    /// Another daemon or command has locked the folder.
    #[error("the data folder {} is in use by another wallcast; stop that one first", .0.display())]
    Locked(PathBuf),
    /// The file is not an SQLite database or fails its check.
    #[error("the database {} is damaged ({detail}); it was left unchanged: restore a backup with `wallcast restore`, or move the file away to start with an empty database", path.display())]
    Damaged {
        /// The database file.
        path: PathBuf,
        /// SQLite's message.
        detail: String,
    },
    /// An SQLite database of another program.
    #[error("{} is not a Wallcast database; it was left unchanged: choose another data_dir", .0.display())]
    Foreign(PathBuf),
    /// A later version of Wallcast wrote the file.
    #[error("the database {} has schema {found}, newer than this program's {known}; install the newer Wallcast again", path.display())]
    Newer {
        /// The database file.
        path: PathBuf,
        /// The schema version of the file.
        found: i64,
        /// The newest schema version that this program knows.
        known: i64,
    },
    /// SQLite failed for another reason.
    #[error("cannot open the database {}: {source}; check that the disk has free space and is writable", path.display())]
    Sqlite {
        /// The database file.
        path: PathBuf,
        /// The cause.
        source: rusqlite::Error,
    },
    /// The copy from a Home Assistant backup cannot be restored.
    #[error(transparent)]
    HomeAssistantCopy(Box<RestoreError>),
    /// The operating system could not start a thread.
    #[error("cannot start a thread for the store: {0}")]
    Thread(std::io::Error),
}

impl OpenError {
    /// Distinguishes damage from SQLite's other errors.
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
    /// The disk is full, read-only, broken or missing. A later attempt may succeed.
    #[error("the store cannot write now: {0}")]
    Unavailable(String),
    /// The store's threads have ended, because the daemon is stopping; or a read panicked.
    #[error("the store has stopped")]
    Stopped,
    /// Another error of SQLite, which is a bug in Wallcast.
    #[error("the store failed: {0}")]
    Failed(rusqlite::Error),
    /// The change panicked and was rolled back.
    #[error("a change to the store panicked and was rolled back")]
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
    /// SQLite failed, for example on a full disk.
    #[error(transparent)]
    Sqlite(#[from] rusqlite::Error),
    /// The operating system failed.
    #[error(transparent)]
    Io(#[from] std::io::Error),
}

/// Why nothing was restored. The text names the remedy.
#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    /// The file does not exist.
    #[error("there is no file {}", .0.display())]
    Missing(PathBuf),
    /// The file cannot be read.
    #[error("cannot read {}: {cause}", file.display())]
    Unreadable {
        /// The file.
        file: PathBuf,
        /// The cause.
        cause: CopyError,
    },
    /// The file fails SQLite's check.
    #[error("{} is damaged ({detail}); nothing was changed, use another backup", file.display())]
    Damaged {
        /// The file.
        file: PathBuf,
        /// SQLite's message.
        detail: String,
    },
    /// The file belongs to another program or is empty.
    #[error("{} is not a backup of Wallcast; nothing was changed", .0.display())]
    Foreign(PathBuf),
    /// A later version of Wallcast wrote the file.
    #[error("{} has schema {found}, newer than this program's {known}; nothing was changed, install the newer Wallcast first", file.display())]
    Newer {
        /// The file.
        file: PathBuf,
        /// The schema version of the file.
        found: i64,
        /// The newest schema version that this program knows.
        known: i64,
    },
    /// The data folder is in use or cannot be used.
    #[error(transparent)]
    Folder(OpenError),
    /// Writing failed.
    #[error("cannot restore into the data folder {}: {cause}", folder.display())]
    Write {
        /// The data folder.
        folder: PathBuf,
        /// The cause.
        cause: CopyError,
    },
}
