//! Making a backup: one file with the whole house, beside a running daemon or without one. It never
//! writes to the house.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::folder::{DataFolder, database_in, is_own_name};
use super::snapshot::{CopyError, PartialFile, Progress, Source, Summary};
use super::{OpenError, journal};
use crate::random;

/// What becomes of a file that has the backup's name already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Existing {
    /// It stays, and there is no backup.
    Keep,
    /// The backup takes its place once it is whole.
    Replace,
}

/// Why there is no backup. Each text says what to do.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// There is no house as yet.
    #[error("nothing to back up: the data folder {} has no database yet", .0.display())]
    NoDatabase(PathBuf),
    /// The house cannot be read.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The file's folder is not there.
    #[error("the folder {} does not exist; make it first", .0.display())]
    NoFolder(PathBuf),
    /// Something has that name.
    #[error("{} exists already; name another file, or add --force to replace it", .0.display())]
    Exists(PathBuf),
    /// The name of a folder, a device or a link, or of nothing.
    #[error("{} is no plain file; name one, such as house.backup", .0.display())]
    NotAFile(PathBuf),
    /// A name in the data folder that the daemon uses itself.
    #[error("{} is a file of the house itself; choose another name", .0.display())]
    Reserved(PathBuf),
    /// The disk.
    #[error("cannot write the backup {}: {cause}", file.display())]
    Write {
        /// The file as it was named.
        file: PathBuf,
        /// Why.
        cause: CopyError,
    },
}

/// Copies the house of a data folder into `file`, which has mode 0600 and is either whole or not
/// there. It holds the signing key and the house's CA.
///
/// # Errors
/// Why there is none; what had the file's name is untouched then.
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
    let place = place(folder, file)?;
    refuse_taken(file, &place, existing)?;
    let database = database_in(folder);
    if !database.exists() {
        return Err(BackupError::NoDatabase(folder.to_owned()));
    }
    let lock = match DataFolder::claim(folder) {
        Ok(lock) => Some(lock),
        // The daemon has it, and SQLite lets us read beside it.
        Err(OpenError::Locked(_)) => None,
        Err(error) => return Err(error.into()),
    };
    let mut source = match lock {
        Some(_) => Source::open_unused(&database)?,
        None => Source::open_live(&database)?,
    };
    let suffix = random::code(6, b"abcdefghjkmnpqrstuvwxyz23456789");
    let unfinished = journal::beside(&place, &format!(".unfinished-{suffix}"));
    let unfinished = PartialFile::create(unfinished).map_err(|cause| write(cause.into()))?;
    let summary = source.copy_to(&unfinished, progress).map_err(write)?;
    refuse_taken(file, &place, existing)?;
    unfinished
        .finish(&place)
        .map_err(|cause| write(cause.into()))?;
    Ok(summary)
}

/// Where the file will be, in a folder that is there.
fn place(folder: &Path, file: &Path) -> Result<PathBuf, BackupError> {
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
    let is_house = folder.canonicalize().is_ok_and(|folder| folder == parent);
    if is_house && is_own_name(name) {
        return Err(BackupError::Reserved(file.to_owned()));
    }
    Ok(parent.join(name))
}

fn refuse_taken(file: &Path, place: &Path, existing: Existing) -> Result<(), BackupError> {
    match fs::symlink_metadata(place) {
        Ok(there) if !there.is_file() => Err(BackupError::NotAFile(file.to_owned())),
        Ok(_) if existing == Existing::Keep => Err(BackupError::Exists(file.to_owned())),
        _ => Ok(()),
    }
}
