//! The data folder: its lock, and where its files are.

use std::ffi::OsStr;
use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::OpenError;

/// A data folder that this process alone uses, until the value is dropped.
#[derive(Debug)]
pub struct DataFolder {
    path: PathBuf,
    _lock: File,
}

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
                _lock: lock,
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

    /// The folder itself.
    pub fn path(&self) -> &Path {
        &self.path
    }
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
        || name == b"wallcast.db.restoring"
}
