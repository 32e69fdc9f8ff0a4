//! Putting a backup in place of the house. At every moment the data folder has the old house or the
//! new one, whole; the old one is kept.

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

/// What was put in place.
#[derive(Debug)]
pub struct RestoreOutcome {
    /// The new house.
    pub summary: Summary,
    /// Its file.
    pub database: PathBuf,
    /// The old house's file, if there was one.
    pub kept: Option<PathBuf>,
}

/// Opens a backup, or any copy of a house, and checks every page of it.
///
/// # Errors
/// Why it cannot be restored.
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

/// Puts the copy that Home Assistant was handed in place of what lies beside it, in a folder that came
/// out of Home Assistant's backup: the database file there was copied while it was being written.
///
/// # Errors
/// Why the copy cannot be restored; then the house must not be opened, for it would not be the one
/// that was backed up.
pub(super) fn restore_home_assistant_copy(folder: &DataFolder) -> Result<(), RestoreError> {
    let file = folder.home_assistant_copy();
    if !folder.is_new().map_err(RestoreError::Folder)? || !file.exists() {
        return Ok(());
    }
    let silent: Progress = Arc::new(|_, _| {});
    let replaced = open(&file)?.put_into(folder, &silent)?;
    tracing::warn!(
        made_at = replaced.summary.made_at,
        kept = replaced.kept.map(|kept| kept.display().to_string()),
        "the house was put back from Home Assistant's backup"
    );
    Ok(())
}

impl Source {
    /// Puts a marked copy in place of the data folder's house, under the folder's lock.
    ///
    /// # Errors
    /// [`OpenError::Locked`] while a daemon runs on the folder; otherwise what the disk said.
    pub fn restore_into(
        self,
        folder: &Path,
        progress: &Progress,
    ) -> Result<RestoreOutcome, RestoreError> {
        let folder = DataFolder::claim(folder).map_err(RestoreError::Folder)?;
        let replaced = self.put_into(&folder, progress)?;
        folder.remove_home_assistant_copy();
        Ok(replaced)
    }

    fn put_into(
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
        let new = make_new(folder)?;
        let summary = self.copy_to(&new, progress)?;
        let kept = keep_old(&database)?;
        // Until here the old house has the name, from here the new one. Its journal goes only now:
        // whoever finds it beside the new house, which is a plain file, knows it for another's.
        new.finish(&database)?;
        for suffix in ["-wal", "-shm"] {
            // The next start sets aside what stays.
            let _ = fs::remove_file(beside(&database, suffix));
        }
        Ok(RestoreOutcome {
            summary,
            database,
            kept,
        })
    }
}

/// The file that will be the new house, in the place of one that a killed restore left.
fn make_new(folder: &DataFolder) -> io::Result<PartialFile> {
    let path = beside(&folder.database(), ".restoring");
    match fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let new = PartialFile::create(path)?;
    // An administrator's restore must leave the daemon's user a file that it can open. Where this
    // is not allowed, it is not needed either: the folder is ours.
    let owner = fs::metadata(folder.path())?;
    let _ = chown(new.path(), Some(owner.uid()), Some(owner.gid()));
    Ok(new)
}

/// Gives the old house a second name, and its journal too if it could not be written back.
fn keep_old(database: &Path) -> io::Result<Option<PathBuf>> {
    if fs::symlink_metadata(database).is_err() {
        return Ok(None);
    }
    write_back(database);
    let suffix = format!(".before-restore-{}", journal::stamp(Timestamp::now()));
    let kept = beside(database, &suffix);
    keep(database, &kept)?;
    let journal = beside(database, "-wal");
    if fs::metadata(&journal).is_ok_and(|journal| journal.len() > 0) {
        keep(&journal, &beside(&kept, "-wal"))?;
    }
    // SQLite would undo the new house's pages by a rollback journal of the old one. Only a file that
    // could not be opened has one left.
    let rollback = beside(database, "-journal");
    if rollback.exists() {
        fs::rename(&rollback, beside(&kept, "-journal"))?;
    }
    sync_folder_of(database)?;
    Ok(Some(kept))
}

/// Writes the journal back, so that one file is the old house. One that is damaged, or not ours, is
/// kept as it is.
fn write_back(database: &Path) {
    let tried = || -> Result<(), OpenError> {
        let fail = |error| OpenError::sqlite(database, error);
        if journal::is_stale(database).unwrap_or(true) {
            return Ok(());
        }
        let connection = Connection::open_with_flags(
            database,
            OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX,
        )
        .map_err(fail)?;
        // Closing would write the journal into a file that fails the check.
        connection
            .set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)
            .map_err(fail)?;
        schema::check(&connection, database)?;
        connection
            .set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, false)
            .map_err(fail)?;
        connection.close().map_err(|(_, error)| fail(error))
    };
    // Whatever went wrong, the journal stays and is kept beside the file.
    let _ = tried();
}

/// A second name for a file, or a copy where the file system has no second names.
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
