//! Creates a backup: one file with the whole database, while the daemon runs or not. Never writes to the database.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::folder::{DataFolder, database_in, is_own_name};
use super::snapshot::{CopyError, PartialFile, Progress, Source, Summary};
use super::{OpenError, journal};
use crate::random;

/// What to do if the backup file exists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Existing {
    /// Fail and leave the file.
    Keep,
    /// Replace the file once the backup is complete.
    Replace,
}

/// Why no backup was created. The text names the remedy.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// The data folder has no database yet.
    #[error("nothing to back up: the data folder {} has no database yet", .0.display())]
    NoDatabase(PathBuf),
    /// The database cannot be read.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The folder of the backup file does not exist.
    #[error("the folder {} does not exist; make it first", .0.display())]
    NoFolder(PathBuf),
    /// The backup file exists.
    #[error("{} exists already; name another file, or add --force to replace it", .0.display())]
    Exists(PathBuf),
    /// The name belongs to a folder, a device or a link, or there is no file name.
    #[error("{} is not a regular file; name one, such as wallcast.backup", .0.display())]
    NotAFile(PathBuf),
    /// The daemon uses this name in its data folder.
    #[error("{} is a name that Wallcast uses itself; choose another name", .0.display())]
    Reserved(PathBuf),
    /// Writing failed.
    #[error("cannot write the backup {}: {cause}", file.display())]
    Write {
        /// The backup file as it was named.
        file: PathBuf,
        /// The cause.
        cause: CopyError,
    },
}

/// Copies the database of a data folder to `file`, with mode 0600. The file appears only when it is complete. It
/// contains the signing key and the private key of the local CA.
///
/// # Errors
/// [`BackupError`]; an existing file is left unchanged then.
pub fn back_up(
    folder: &Path,
    file: &Path,
    existing: Existing,
    progress: &Progress,
) -> Result<Summary, BackupError> {
    let write = |cause: CopyError| BackupError::Write {
        file: file.to_owned(),
        cause,
    };
    let target = target_path(folder, file)?;
    refuse_taken(file, &target, existing)?;
    let database = database_in(folder);
    if !database.exists() {
        return Err(BackupError::NoDatabase(folder.to_owned()));
    }
    let lock = match DataFolder::claim(folder) {
        Ok(lock) => Some(lock),
        // A daemon is running. SQLite allows a second process to read.
        Err(OpenError::Locked(_)) => None,
        Err(error) => return Err(error.into()),
    };
    let mut source = match lock {
        Some(_) => Source::open_unused(&database)?,
        None => Source::open_live(&database)?,
    };
    let suffix = random::code(6, b"abcdefghjkmnpqrstuvwxyz23456789");
    let partial = journal::beside(&target, &format!(".unfinished-{suffix}"));
    let partial = PartialFile::create(partial).map_err(|cause| write(cause.into()))?;
    let summary = source.copy_to(&partial, progress).map_err(write)?;
    refuse_taken(file, &target, existing)?;
    partial
        .persist(&target)
        .map_err(|cause| write(cause.into()))?;
    Ok(summary)
}

/// The canonical path of the backup file, in an existing folder.
fn target_path(folder: &Path, file: &Path) -> Result<PathBuf, BackupError> {
    let name = file
        .file_name()
        .ok_or_else(|| BackupError::NotAFile(file.to_owned()))?;
    let parent = match file.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let parent = parent.canonicalize().map_err(|cause| match cause.kind() {
        io::ErrorKind::NotFound => BackupError::NoFolder(parent.to_owned()),
        _ => BackupError::Write {
            file: file.to_owned(),
            cause: cause.into(),
        },
    })?;
    let is_data_folder = folder.canonicalize().is_ok_and(|folder| folder == parent);
    if is_data_folder && is_own_name(name) {
        return Err(BackupError::Reserved(file.to_owned()));
    }
    Ok(parent.join(name))
}

fn refuse_taken(file: &Path, target: &Path, existing: Existing) -> Result<(), BackupError> {
    match fs::symlink_metadata(target) {
        Ok(there) if !there.is_file() => Err(BackupError::NotAFile(file.to_owned())),
        Ok(_) if existing == Existing::Keep => Err(BackupError::Exists(file.to_owned())),
        _ => Ok(()),
    }
}
