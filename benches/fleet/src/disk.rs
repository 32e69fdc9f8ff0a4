//! The folders for the servers' data during a measurement, and the speed of their disk.

use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::time::Instant;

use hdrhistogram::Histogram;
use tempfile::TempDir;

use crate::{Outcome, latency};

/// A page of SQLite.
const PAGE: [u8; 4096] = [7; 4096];
const SYNCS: u64 = 1_000;
/// The type of tmpfs in statfs(2).
const TMPFS_MAGIC: u64 = 0x0102_1994;

/// A new folder in `TMPDIR`. Fails if it is in memory (tmpfs), where fsync costs nothing.
pub fn folder() -> Outcome<TempDir> {
    let folder = tempfile::tempdir()?;
    let found = rustix::fs::statfs(folder.path())?;
    match u64::try_from(found.f_type) {
        Ok(TMPFS_MAGIC) => Err(format!(
            "{} is in memory: set TMPDIR to a folder on a disk",
            folder.path().display()
        )
        .into()),
        _ => Ok(folder),
    }
}

/// The time to write a page and sync it with fdatasync, in nanoseconds. Pages are overwritten in place, as in a
/// write-ahead log that has reached its full size.
pub fn syncs(folder: &Path) -> Outcome<Histogram<u64>> {
    let path = folder.join("bench");
    let file = File::options().create_new(true).write(true).open(&path)?;
    for page in 0..SYNCS {
        file.write_all_at(&PAGE, page * PAGE.len() as u64)?;
    }
    file.sync_all()?;
    let mut taken = latency::histogram();
    for page in 0..SYNCS {
        let started = Instant::now();
        file.write_all_at(&PAGE, page * PAGE.len() as u64)?;
        file.sync_data()?;
        taken.saturating_record(u64::try_from(started.elapsed().as_nanos())?);
    }
    std::fs::remove_file(path)?;
    Ok(taken)
}
