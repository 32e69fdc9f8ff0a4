//! Replaces the database with a backup. At every moment the data folder contains the complete old database or the
//! complete new one, and the old one is kept under another name.

use std::fs::{self, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};

use super::error::CopyError;
pub use super::error::RestoreError;
use super::folder::DataFolder;
use super::journal::beside;
use super::snapshot::{PartialFile, Progress, Source, Summary, sync_folder_of};
use super::{OpenError, journal, schema};
use crate::clock::Timestamp;

/// The result of a restore.
#[derive(Debug)]
pub struct RestoreOutcome {
    /// What the new database contains.
    pub summary: Summary,
    /// The database file.
    pub database: PathBuf,
    /// The file of the old database, if there was one.
    pub kept: Option<PathBuf>,
}

/// Opens a backup, or any copy of a database, and checks every page.
///
/// # Errors
/// [`RestoreError`] if the file cannot be restored.
pub fn open(file: &Path) -> Result<Source, RestoreError> {
    let unreadable = |cause: CopyError| RestoreError::Unreadable {
        file: file.to_owned(),
        cause,
    };
    match fs::metadata(file) {
        Ok(there) if there.is_file() => {}
        Ok(_) => return Err(RestoreError::Foreign(file.to_owned())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(RestoreError::Missing(file.to_owned()));
        }
        Err(error) => return Err(unreadable(error.into())),
    }
    Source::open_unused(file).map_err(|error| match error {
        OpenError::Damaged { path, detail } => RestoreError::Damaged { file: path, detail },
        OpenError::Foreign(path) => RestoreError::Foreign(path),
        OpenError::Newer { path, found, known } => RestoreError::Newer {
            file: path,
            found,
            known,
        },
        OpenError::Folder { source, .. } => unreadable(source.into()),
        OpenError::Sqlite { source, .. } => unreadable(source.into()),
        other => RestoreError::Folder(other),
    })
}

/// In a folder that comes from a Home Assistant backup, restores the copy that was made for that backup: the database
/// file itself was copied while it was being written.
///
/// # Errors
/// If the copy cannot be restored. The database must not be opened then, because its content is not what was backed up.
pub(super) fn restore_home_assistant_copy(folder: &DataFolder) -> Result<(), RestoreError> {
    let file = folder.home_assistant_copy();
    if !folder.is_new().map_err(RestoreError::Folder)? || !file.exists() {
        return Ok(());
    }
    let silent: Progress = Arc::new(|_, _| {});
    let restored = open(&file)?.restore_into_locked(folder, &silent)?;
    tracing::warn!(
        made_at = restored.summary.made_at,
        kept = restored.kept.map(|kept| kept.display().to_string()),
        "database restored from a Home Assistant backup"
    );
    Ok(())
}

impl Source {
    /// Replaces the data folder's database with a marked copy, while holding the folder's lock.
    ///
    /// # Errors
    /// [`OpenError::Locked`] while a daemon uses the folder; otherwise [`RestoreError::Folder`] or
    /// [`RestoreError::Write`].
    pub fn restore_into(
        self,
        folder: &Path,
        progress: &Progress,
    ) -> Result<RestoreOutcome, RestoreError> {
        let folder = DataFolder::claim(folder).map_err(RestoreError::Folder)?;
        let restored = self.restore_into_locked(&folder, progress)?;
        folder.remove_home_assistant_copy();
        Ok(restored)
    }

    fn restore_into_locked(
        mut self,
        folder: &DataFolder,
        progress: &Progress,
    ) -> Result<RestoreOutcome, RestoreError> {
        self.replace(folder, progress)
            .map_err(|cause| RestoreError::Write {
                folder: folder.path().to_owned(),
                cause,
            })
    }

    fn replace(
        &mut self,
        folder: &DataFolder,
        progress: &Progress,
    ) -> Result<RestoreOutcome, CopyError> {
        let database = folder.database();
        let new = create_new(folder)?;
        let summary = self.copy_to(&new, progress)?;
        let kept = keep_old(&database)?;
        // This rename makes the new database current. The old WAL is deleted only after it: beside the new file, whose
        // header says rollback journal, it is recognised as stale if the process is killed here.
        new.persist(&database)?;
        for suffix in ["-wal", "-shm"] {
            // The next start renames a WAL that could not be deleted.
            let _ = fs::remove_file(beside(&database, suffix));
        }
        Ok(RestoreOutcome {
            summary,
            database,
            kept,
        })
    }
}

/// Creates the file for the new database, replacing one from a killed restore.
fn create_new(folder: &DataFolder) -> io::Result<PartialFile> {
    let path = beside(&folder.database(), ".restoring");
    match fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let new = PartialFile::create(path)?;
    // If root runs the restore, the daemon's user must still be able to open the file. Changing the owner fails for
    // other users, who own the folder anyway.
    let owner = fs::metadata(folder.path())?;
    let _ = chown(new.path(), Some(owner.uid()), Some(owner.gid()));
    Ok(new)
}

/// Gives the old database a second name, and its WAL too if it could not be checkpointed.
fn keep_old(database: &Path) -> io::Result<Option<PathBuf>> {
    if fs::symlink_metadata(database).is_err() {
        return Ok(None);
    }
    checkpoint(database);
    let suffix = format!(".before-restore-{}", journal::stamp(Timestamp::now()));
    let kept = beside(database, &suffix);
    keep(database, &kept)?;
    let journal = beside(database, "-wal");
    if fs::metadata(&journal).is_ok_and(|journal| journal.len() > 0) {
        keep(&journal, &beside(&kept, "-wal"))?;
    }
    // SQLite would apply a rollback journal of the old database to the new one. One remains only if the old database
    // could not be opened.
    let rollback = beside(database, "-journal");
    if rollback.exists() {
        fs::rename(&rollback, beside(&kept, "-journal"))?;
    }
    sync_folder_of(database)?;
    Ok(Some(kept))
}

/// Writes the WAL into the database file, so that the old database is one file. Leaves the WAL of a damaged or foreign
/// database as it is.
fn checkpoint(database: &Path) {
    let attempt = || -> Result<(), OpenError> {
        let fail = |error| OpenError::sqlite(database, error);
        if journal::is_stale(database).unwrap_or(true) {
            return Ok(());
        }
        let connection = Connection::open_with_flags(
            database,
            OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX,
        )
        .map_err(fail)?;
        // Closing would checkpoint the WAL into a file that may fail the check.
        connection
            .set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)
            .map_err(fail)?;
        schema::check(&connection, database)?;
        connection
            .set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, false)
            .map_err(fail)?;
        connection.close().map_err(|(_, error)| fail(error))
    };
    // If this fails, the WAL is kept beside the file.
    let _ = attempt();
}

/// Gives a file a second name with a hard link, or copies it if the file system has no hard links.
fn keep(file: &Path, name: &Path) -> io::Result<()> {
    fs::set_permissions(file, Permissions::from_mode(0o600))?;
    if fs::hard_link(file, name).is_ok() {
        return Ok(());
    }
    let mut copy = OpenOptions::new()
        .create_new(true)
        .write(true)
        .mode(0o600)
        .open(name)?;
    io::copy(&mut fs::File::open(file)?, &mut copy)?;
    copy.sync_all()
}
