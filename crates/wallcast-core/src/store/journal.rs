//! The write-ahead log (WAL) beside a database file, and whether it belongs to that file. Reads only the file's header
//! and never opens the database.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use crate::clock::Timestamp;

/// The start of every SQLite file. The page size follows, and then the write and the read version: 1 for a rollback
/// journal, 2 for a WAL (SQLite file format, section 1.3).
const MAGIC: &[u8; 16] = b"SQLite format 3\0";

/// The journal mode in the file's header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    /// Rollback journal: no WAL belongs to the file.
    Plain,
    /// WAL.
    WriteAhead,
    /// Not an SQLite file, or empty.
    Unknown,
}

/// Appends a suffix to the file name: `-wal`, `.before-restore-…`.
pub(super) fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(suffix);
    name.into()
}

/// The moment as part of a file name: RFC 3339 without punctuation.
pub(super) fn stamp(moment: Timestamp) -> String {
    let text = moment.to_string();
    text.chars().filter(char::is_ascii_alphanumeric).collect()
}

/// Reads the journal mode from the file's header.
pub(super) fn mode(path: &Path) -> io::Result<Mode> {
    let mut header = Vec::new();
    File::open(path)?.take(19).read_to_end(&mut header)?;
    let version = header.strip_prefix(MAGIC).and_then(<[u8]>::last).copied();
    Ok(match (header.len(), version) {
        (19, Some(1)) => Mode::Plain,
        (19, Some(2)) => Mode::WriteAhead,
        _ => Mode::Unknown,
    })
}

/// Whether the WAL beside this file belongs to another database. That is so if the header says rollback journal:
/// Wallcast sets WAL mode in the header before a WAL exists.
pub(super) fn is_stale(path: &Path) -> io::Result<bool> {
    match fs::metadata(beside(path, "-wal")) {
        Ok(journal) if journal.len() > 0 => match mode(path) {
            Ok(mode) => Ok(mode == Mode::Plain),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        },
        _ => Ok(false),
    }
}

/// Renames the WAL of another database. SQLite would otherwise write it into this file, for example after a snapshot
/// was copied over the database of a killed daemon.
pub(super) fn set_stale_aside(path: &Path) -> io::Result<()> {
    if is_stale(path)? {
        let suffix = format!("-wal.stale-{}", stamp(Timestamp::now()));
        let aside = beside(path, &suffix);
        fs::rename(beside(path, "-wal"), &aside)?;
        tracing::warn!(kept = %aside.display(), "renamed a write-ahead log that belongs to another database");
    }
    Ok(())
}
