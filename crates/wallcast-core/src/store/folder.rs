//! The data folder: its lock, where its files are, and whether the database is still there.

use std::ffi::OsStr;
use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt, MetadataExt as _, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::{OpenError, StoreError};

/// A data folder that this process alone uses, until the value is dropped.
#[derive(Debug)]
pub struct DataFolder {
    path: PathBuf,
    lock: File,
}

/// What the lock's file says from a house's first start on. Home Assistant's backups leave the file
/// out (`backup_exclude` in config.yaml), so a house beside an empty one came out of a backup.
const USED: &[u8] = b"This house lives here.\n";

impl DataFolder {
    /// Makes the folder if need be (mode 0700) and takes its lock.
    ///
    /// # Errors
    /// [`OpenError::Locked`] when another process has it, [`OpenError::Folder`] when it cannot be used.
    pub fn claim(path: &Path) -> Result<Self, OpenError> {
        let refused = |source| OpenError::Folder {
            path: path.to_owned(),
            source,
        };
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(path)
            .map_err(refused)?;
        let lock = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(0o600)
            .open(path.join("wallcast.lock"))
            .map_err(refused)?;
        match lock.try_lock() {
            Ok(()) => Ok(Self {
                path: path.to_owned(),
                lock,
            }),
            Err(TryLockError::WouldBlock) => Err(OpenError::Locked(path.to_owned())),
            Err(TryLockError::Error(source)) => Err(refused(source)),
        }
    }

    /// The database file, which holds the whole house.
    pub fn database(&self) -> PathBuf {
        database_in(&self.path)
    }

    /// Where the running daemon listens for the command line (contract section 9).
    pub fn socket(&self) -> PathBuf {
        self.path.join("wallcast.sock")
    }

    /// Where Home Assistant lets us write a copy of the house for its own backup (`backup_pre`).
    pub(super) fn home_assistant_copy(&self) -> PathBuf {
        self.path.join("home-assistant.backup")
    }

    /// Whether no house has been opened here since the lock's file was made.
    pub(super) fn is_new(&self) -> Result<bool, OpenError> {
        let said = self.lock.metadata().map_err(|error| self.refused(error))?;
        Ok(said.len() == 0)
    }

    /// Notes that the house lives here now.
    pub(super) fn mark_used(&self) -> Result<(), OpenError> {
        if self.is_new()? {
            let written = (&self.lock).write_all(USED);
            written.map_err(|error| self.refused(error))?;
        }
        Ok(())
    }

    /// Takes back the copy that Home Assistant was handed: once the house goes on, or rests and is
    /// its own copy, it is old.
    pub fn remove_home_assistant_copy(&self) {
        if let Err(error) = fs::remove_file(self.home_assistant_copy())
            && error.kind() != io::ErrorKind::NotFound
        {
            tracing::warn!(%error, file = %self.home_assistant_copy().display(), "an old copy cannot be removed");
        }
    }

    fn refused(&self, source: io::Error) -> OpenError {
        OpenError::Folder {
            path: self.path.clone(),
            source,
        }
    }

    /// The folder itself.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// Which file was opened under a path. SQLite goes on writing into one that was deleted or moved
/// away, and nobody would find again what it was answered to have kept.
#[derive(Debug)]
pub(super) struct OpenedFile {
    path: PathBuf,
    file: FileId,
}

/// Device and inode.
type FileId = (u64, u64);

impl OpenedFile {
    /// Remembers the file that this path leads to now.
    pub(super) fn at(path: &Path) -> Result<Self, OpenError> {
        let file = file_at(path).map_err(|source| OpenError::Folder {
            path: path.to_owned(),
            source,
        })?;
        Ok(Self {
            path: path.to_owned(),
            file,
        })
    }

    /// Fails unless the path leads to that same file.
    pub(super) fn check(&self) -> Result<(), StoreError> {
        let why = match file_at(&self.path) {
            Ok(file) if file == self.file => return Ok(()),
            Ok(_) => "another file is in its place".to_owned(),
            Err(error) => error.to_string(),
        };
        Err(StoreError::Unavailable(format!(
            "{} is not where it was opened ({why}): put the data folder back, or start again to begin anew",
            self.path.display()
        )))
    }
}

fn file_at(path: &Path) -> std::io::Result<FileId> {
    std::fs::metadata(path).map(|file| (file.dev(), file.ino()))
}

/// The database file inside a data folder.
pub(super) fn database_in(folder: &Path) -> PathBuf {
    folder.join("wallcast.db")
}

/// Whether the daemon itself uses a file of that name in a data folder, now or at times.
pub(super) fn is_own_name(name: &OsStr) -> bool {
    let name = name.as_encoded_bytes();
    [&b"wallcast.db"[..], b"wallcast.lock", b"wallcast.sock"].contains(&name)
        || name.starts_with(b"wallcast.db-")
        || name.starts_with(b"wallcast.db.")
}
