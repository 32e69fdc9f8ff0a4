//! Where servers keep their files while they are measured, and how quick the disk there is by itself.

use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::time::Instant;

use hdrhistogram::Histogram;
use tempfile::TempDir;

use crate::{Outcome, latency};

/// What SQLite writes at once.
const PAGE: [u8; 4096] = [7; 4096];
const SYNCS: u64 = 1_000;
/// tmpfs, by statfs(2).
const TMPFS_MAGIC: u64 = 0x0102_1994;

/// A new folder in `TMPDIR`, which must lie on a disk: in memory nothing has to last, and what does
/// last would cost nothing.
pub fn folder() -> Outcome<TempDir> {
    let folder = tempfile::tempdir()?;
    let found = rustix::fs::statfs(folder.path())?;
    match u64::try_from(found.f_type) {
        Ok(TMPFS_MAGIC) => Err(format!(
            "{} lies in memory: set TMPDIR to a folder on a disk",
            folder.path().display()
        )
        .into()),
        _ => Ok(folder),
    }
}

/// How long it takes there to write a page into a file and have it last (fdatasync), in nanoseconds.
/// Pages are written anew in place, as in a journal that is as long as it gets.
pub fn syncs(folder: &Path) -> Outcome<Histogram<u64>> {
    let path = folder.join("bench");
    let file = File::options().create_new(true).write(true).open(&path)?;
    for page in 0..SYNCS {
        file.write_all_at(&PAGE, page * PAGE.len() as u64)?;
    }
    file.sync_all()?;
    let mut taken = latency::histogram();
    for page in 0..SYNCS {
        let begun = Instant::now();
        file.write_all_at(&PAGE, page * PAGE.len() as u64)?;
        file.sync_data()?;
        taken.saturating_record(u64::try_from(begun.elapsed().as_nanos())?);
    }
    std::fs::remove_file(path)?;
    Ok(taken)
}
