//! The write-ahead journal beside a database file, and whether it belongs to that file. It reads
//! the file's header only and never opens the database.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use crate::clock::Timestamp;

/// The start of every SQLite file, then a page size, then the two bytes that say how it is written
/// and read: 1 with a rollback journal, 2 with a write-ahead journal (SQLite's file format, 1.3).
const MAGIC: &[u8; 16] = b"SQLite format 3\0";

/// How a database file says that it is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    /// By itself: nothing beside it belongs to it.
    Plain,
    /// With a write-ahead journal beside it.
    WriteAhead,
    /// No SQLite file, or an empty one.
    Unknown,
}

/// The path with something put behind its name: `-wal`, `.before-restore-…`.
pub(super) fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(suffix);
    name.into()
}

/// The moment as a part of a file's name.
pub(super) fn stamp(moment: Timestamp) -> String {
    let text = moment.to_string();
    text.chars().filter(char::is_ascii_alphanumeric).collect()
}

/// How the file is written.
pub(super) fn mode(path: &Path) -> io::Result<Mode> {
    let mut header = Vec::new();
    File::open(path)?.take(19).read_to_end(&mut header)?;
    let said = header.strip_prefix(MAGIC).and_then(<[u8]>::last).copied();
    Ok(match (header.len(), said) {
        (19, Some(1)) => Mode::Plain,
        (19, Some(2)) => Mode::WriteAhead,
        _ => Mode::Unknown,
    })
}

/// Whether a journal of another database lies beside this one. A plain file has none of its own:
/// a file that Wallcast has opened says that it is written with one, before the journal is there.
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

/// Takes a journal of another database out of SQLite's sight, which would write it into this one:
/// that is what a snapshot meets that was copied over the database of a killed daemon.
pub(super) fn set_stale_aside(path: &Path) -> io::Result<()> {
    if is_stale(path)? {
        let suffix = format!("-wal.stale-{}", stamp(Timestamp::now()));
        let aside = beside(path, &suffix);
        fs::rename(beside(path, "-wal"), &aside)?;
        tracing::warn!(kept = %aside.display(), "set aside a journal that belongs to another database");
    }
    Ok(())
}
