//! Copies a database into one marked file without a WAL. Never writes to the source, and does not block its writer.
//!
//! It uses `VACUUM INTO`, not SQLite's backup API. `VACUUM INTO` reads in one transaction, while the backup API
//! restarts whenever the daemon writes. Its copy needs no WAL and contains no remains of deleted rows, and it fails if
//! a table cannot be read.

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

/// Receives the number of bytes copied so far and the approximate total.
pub type Progress = Arc<dyn Fn(u64, u64) + Send + Sync>;

/// SQLite virtual machine steps between two progress reports: a few milliseconds.
const STEPS: i32 = 100_000;

/// What a snapshot contains.
#[derive(Clone, Debug)]
pub struct Summary {
    /// The size of the file in bytes.
    pub bytes: u64,
    /// Number of events in the history.
    pub events: u64,
    /// Number of clients, active or not.
    pub clients: u64,
    /// When the snapshot was made, in RFC 3339.
    pub made_at: String,
}

/// A database to copy: a Wallcast database of a known schema in which every page was checked.
#[derive(Debug)]
pub struct Source {
    path: PathBuf,
    connection: Connection,
}

impl Source {
    /// Opens a database to which a daemon may be writing.
    pub(super) fn open_live(path: &Path) -> Result<Self, OpenError> {
        Self::verified(path, schema::open_read_only(path)?)
    }

    /// Opens a file to which nobody writes. Creates no files beside it, so that it may be on a read-only disk, and
    /// ignores the WAL of another database.
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

    /// Runs a query on the source.
    ///
    /// # Errors
    /// The error of the query.
    pub fn read<T>(
        &self,
        query: impl FnOnce(&Connection) -> rusqlite::Result<T>,
    ) -> rusqlite::Result<T> {
        query(&self.connection)
    }

    /// Writes a marked copy into the target and syncs it to the disk.
    pub(super) fn copy_to(
        &mut self,
        target: &PartialFile,
        progress: &Progress,
    ) -> Result<Summary, CopyError> {
        let target = &target.path;
        let total = fs::metadata(&self.path)?.len();
        let (watched, progress) = (target.clone(), progress.clone());
        let report = move || {
            let done = fs::metadata(&watched).map_or(0, |file| file.len());
            progress(done.min(total), total);
            false
        };
        self.connection.progress_handler(STEPS, Some(report))?;
        // Passed as bytes, because a path need not be UTF-8.
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
        // Nobody opens an incomplete copy, and `sync_all` below makes it durable.
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

/// A file that is being written, with mode 0600 from the start. It is deleted on drop unless it was persisted.
#[derive(Debug)]
pub(super) struct PartialFile {
    path: PathBuf,
    is_persisted: bool,
}

impl PartialFile {
    /// Creates the file. Fails if it exists.
    pub(super) fn create(path: PathBuf) -> io::Result<Self> {
        OpenOptions::new()
            .create_new(true)
            .write(true)
            .mode(0o600)
            .open(&path)?;
        Ok(Self {
            path,
            is_persisted: false,
        })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Renames the file to `name` atomically, replacing an existing file.
    pub(super) fn persist(mut self, name: &Path) -> io::Result<()> {
        fs::rename(&self.path, name)?;
        self.is_persisted = true;
        sync_folder_of(name)
    }
}

impl Drop for PartialFile {
    fn drop(&mut self) {
        if !self.is_persisted {
            // A file that cannot be deleted is recognisable by its name.
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Syncs the folder of a file, so that a rename survives a power failure.
pub(super) fn sync_folder_of(path: &Path) -> io::Result<()> {
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    File::open(folder)?.sync_all()
}
