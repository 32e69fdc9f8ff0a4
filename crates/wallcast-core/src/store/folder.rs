//! The data folder: its lock, the paths of its files, and whether the database file is still in its place.

use std::ffi::OsStr;
use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt, MetadataExt as _, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::{OpenError, StoreError};

/// A locked data folder. Dropping it releases the lock.
#[derive(Debug)]
pub struct DataFolder {
    path: PathBuf,
    lock: File,
}

/// The content of the lock file after the first start. Home Assistant's backups exclude the lock file
/// (`backup_exclude` in config.yaml), so a database beside an empty lock file comes from a backup.
const USED: &[u8] = b"This house lives here.\n";

impl DataFolder {
    /// Creates the folder if it does not exist (mode 0700) and locks it.
    ///
    /// # Errors
    /// [`OpenError::Locked`] if another process holds the lock, [`OpenError::Folder`] if the folder cannot be used.
    pub fn claim(path: &Path) -> Result<Self, OpenError> {
        let unusable = |source| OpenError::Folder {
            path: path.to_owned(),
            source,
        };
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(path)
            .map_err(unusable)?;
        let lock = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(0o600)
            .open(path.join("wallcast.lock"))
            .map_err(unusable)?;
        match lock.try_lock() {
            Ok(()) => Ok(Self {
                path: path.to_owned(),
                lock,
            }),
            Err(TryLockError::WouldBlock) => Err(OpenError::Locked(path.to_owned())),
            Err(TryLockError::Error(source)) => Err(unusable(source)),
        }
    }

    /// The database file, which contains all of the server's state.
    pub fn database(&self) -> PathBuf {
        database_in(&self.path)
    }

    /// The socket on which the running daemon listens for the command line (`docs/protocol.md#command-line`).
    pub fn socket(&self) -> PathBuf {
        self.path.join("wallcast.sock")
    }

    /// The copy of the database that Wallcast makes for a Home Assistant backup (`backup_pre`).
    pub(super) fn home_assistant_copy(&self) -> PathBuf {
        self.path.join("home-assistant.backup")
    }

    /// Whether no server has used this folder since its lock file was created.
    pub(super) fn is_new(&self) -> Result<bool, OpenError> {
        let metadata = self.lock.metadata().map_err(|error| self.unusable(error))?;
        Ok(metadata.len() == 0)
    }

    /// Records in the lock file that a server uses this folder.
    pub(super) fn mark_used(&self) -> Result<(), OpenError> {
        if self.is_new()? {
            let written = (&self.lock).write_all(USED);
            written.map_err(|error| self.unusable(error))?;
        }
        Ok(())
    }

    /// Deletes the copy for a Home Assistant backup. It is outdated as soon as the server runs again, and superfluous
    /// while the server is stopped, because then the database itself can be copied.
    pub fn remove_home_assistant_copy(&self) {
        if let Err(error) = fs::remove_file(self.home_assistant_copy())
            && error.kind() != io::ErrorKind::NotFound
        {
            tracing::warn!(%error, file = %self.home_assistant_copy().display(), "cannot remove an outdated copy of the database");
        }
    }

    fn unusable(&self, source: io::Error) -> OpenError {
        OpenError::Folder {
            path: self.path.clone(),
            source,
        }
    }

    /// The folder's path.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// The file that was opened under a path. SQLite continues to write to a file that was deleted or moved away, and
/// acknowledged changes would be lost.
#[derive(Debug)]
pub(super) struct OpenedFile {
    path: PathBuf,
    file: FileId,
}

/// Device and inode.
type FileId = (u64, u64);

impl OpenedFile {
    /// Remembers the file to which the path leads now.
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

    /// Fails unless the path still leads to the same file.
    pub(super) fn check(&self) -> Result<(), StoreError> {
        let cause = match file_at(&self.path) {
            Ok(file) if file == self.file => return Ok(()),
            Ok(_) => "another file is in its place".to_owned(),
            Err(error) => error.to_string(),
        };
        Err(StoreError::Unavailable(format!(
            "the database {} was moved or deleted while in use ({cause}): put the data folder back, or restart to create a new one",
            self.path.display()
        )))
    }
}

fn file_at(path: &Path) -> std::io::Result<FileId> {
    std::fs::metadata(path).map(|file| (file.dev(), file.ino()))
}

/// The path of the database file in a data folder.
pub(super) fn database_in(folder: &Path) -> PathBuf {
    folder.join("wallcast.db")
}

/// Whether the daemon uses files of this name in a data folder.
pub(super) fn is_own_name(name: &OsStr) -> bool {
    let name = name.as_encoded_bytes();
    [&b"wallcast.db"[..], b"wallcast.lock", b"wallcast.sock"].contains(&name)
        || name.starts_with(b"wallcast.db-")
        || name.starts_with(b"wallcast.db.")
}
