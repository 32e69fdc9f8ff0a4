//! Copying a database into one plain, marked file. What is copied is never written, and whoever
//! writes it meanwhile is not held up.
//!
//! By `VACUUM INTO` rather than SQLite's backup functions: it reads one moment in one read
//! transaction, while those begin again whenever the daemon writes; its copy needs no journal, holds
//! no remains of deleted rows, and cannot be made of a file whose tables cannot be read.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{Connection, OpenFlags};

pub use super::error::CopyError;
use super::journal::{self, Mode};
use super::{OpenError, schema, snapshot_mark};
use crate::clock::Timestamp;

/// Hears how many bytes are copied, of how many there are about.
pub type Progress = Arc<dyn Fn(u64, u64) + Send + Sync>;

/// SQLite's steps between two words of progress: a few milliseconds.
const STEPS: i32 = 100_000;

/// What a snapshot holds.
#[derive(Clone, Debug)]
pub struct Summary {
    /// The size of the file.
    pub bytes: u64,
    /// Events of the history.
    pub events: u64,
    /// Clients, active or not.
    pub clients: u64,
    /// When it was made, RFC 3339.
    pub made_at: String,
}

/// A database that is to be copied: ours, of a schema that we know, and sound on every page.
#[derive(Debug)]
pub struct Source {
    path: PathBuf,
    connection: Connection,
}

impl Source {
    /// A house that its daemon may be writing.
    pub(super) fn open_live(path: &Path) -> Result<Self, OpenError> {
        Self::verified(path, schema::open_read_only(path)?)
    }

    /// A file that nobody writes. Nothing is made beside it, so that it may lie on a read-only
    /// disk, and a journal of another database is passed over.
    pub(super) fn open_unused(path: &Path) -> Result<Self, OpenError> {
        let unreadable = |source| OpenError::Folder {
            path: path.to_owned(),
            source,
        };
        let has_journal = journal::beside(path, "-wal").exists();
        let connection = match (journal::mode(path).map_err(unreadable)?, has_journal) {
            (Mode::WriteAhead, false) | (Mode::Plain, true) => schema::open_immutable(path)?,
            _ => schema::open_read_only(path)?,
        };
        Self::verified(path, connection)
    }

    fn verified(path: &Path, connection: Connection) -> Result<Self, OpenError> {
        if schema::recognise(&connection, path)? == 0 {
            return Err(OpenError::Foreign(path.to_owned()));
        }
        schema::verify(&connection, path)?;
        Ok(Self {
            path: path.to_owned(),
            connection,
        })
    }

    /// Reads what the copy will hold.
    ///
    /// # Errors
    /// The query's.
    pub fn read<T>(
        &self,
        query: impl FnOnce(&Connection) -> rusqlite::Result<T>,
    ) -> rusqlite::Result<T> {
        query(&self.connection)
    }

    /// Writes a marked copy into a file that [`PartialFile`] made, down to the disk.
    pub(super) fn copy_to(
        &mut self,
        target: &PartialFile,
        progress: &Progress,
    ) -> Result<Summary, CopyError> {
        let target = &target.path;
        let total = fs::metadata(&self.path)?.len();
        let (watched, progress) = (target.clone(), progress.clone());
        let tell = move || {
            let done = fs::metadata(&watched).map_or(0, |file| file.len());
            progress(done.min(total), total);
            false
        };
        self.connection.progress_handler(STEPS, Some(tell))?;
        // As bytes: a path need not be UTF-8.
        let name = ToSqlOutput::Borrowed(ValueRef::Text(target.as_os_str().as_bytes()));
        let begun = Timestamp::now();
        let copied = self.connection.execute("VACUUM INTO ?1", [name]);
        self.connection
            .progress_handler(STEPS, None::<fn() -> bool>)?;
        copied?;

        let copy = Connection::open_with_flags(
            target,
            OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX,
        )?;
        // Nobody opens an unfinished copy, and it is brought to the disk below.
        copy.execute_batch("PRAGMA journal_mode = MEMORY; PRAGMA synchronous = OFF")?;
        snapshot_mark::write(&copy, begun)?;
        let count = |table: &str| {
            let query = format!("SELECT count(*) FROM {table}");
            copy.query_row(&query, [], |row| row.get::<_, i64>(0))
                .map(i64::unsigned_abs)
        };
        let (events, clients) = (count("events")?, count("clients")?);
        let made_at = snapshot_mark::made_at(&copy)?.unwrap_or_default();
        copy.close().map_err(|(_, error)| error)?;
        File::open(target)?.sync_all()?;
        Ok(Summary {
            bytes: fs::metadata(target)?.len(),
            events,
            clients,
            made_at,
        })
    }
}

/// A file in the making, its owner's alone from the first byte; removed unless it is finished.
#[derive(Debug)]
pub(super) struct PartialFile {
    path: PathBuf,
    is_finished: bool,
}

impl PartialFile {
    /// Makes the file, which must not exist.
    pub(super) fn create(path: PathBuf) -> io::Result<Self> {
        OpenOptions::new()
            .create_new(true)
            .write(true)
            .mode(0o600)
            .open(&path)?;
        Ok(Self {
            path,
            is_finished: false,
        })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Gives it its name, in place of what had it, as one step that a crash cannot split.
    pub(super) fn finish(mut self, name: &Path) -> io::Result<()> {
        fs::rename(&self.path, name)?;
        self.is_finished = true;
        sync_folder_of(name)
    }
}

impl Drop for PartialFile {
    fn drop(&mut self) {
        if !self.is_finished {
            // What cannot be removed has a name that says what it is.
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Brings the names in a file's folder to the disk.
pub(super) fn sync_folder_of(path: &Path) -> io::Result<()> {
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    File::open(folder)?.sync_all()
}
