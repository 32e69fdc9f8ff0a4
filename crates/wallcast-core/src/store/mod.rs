//! The SQLite file: opening it, writing and reading it, backup and restore.
//!
//! Only this module opens connections and transactions. One thread writes and commits queued writes in one batch; a
//! caller gets its result after the commit. Other SQL is in `history`, `audit`, `idempotency` and each feature's
//! `rows.rs`.

pub mod backup;
mod effects;
mod error;
mod folder;
mod journal;
#[cfg(test)]
mod migration_tests;
mod reader;
pub mod restore;
mod schema;
pub mod settings;
pub mod snapshot;
pub mod snapshot_mark;
#[cfg(test)]
mod snapshot_tests;
#[cfg(test)]
mod tests;
mod tx;
mod write_behind;
mod writer;

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rusqlite::Connection;
use tokio::sync::{mpsc, oneshot, watch};

pub use effects::{ClientTenancy, CommitListener, Effects, RoomMembership};
pub use error::{OpenError, StoreError};
pub use folder::DataFolder;
pub use schema::MIGRATIONS;
pub use tx::WriteTx;
pub use write_behind::WriteBehind;

use crate::clock::Timestamp;
use crate::event::{Epoch, EventId};
use reader::Query;
use writer::{Command, Write};

/// Capacity of the queue to the writer thread; beyond it callers wait.
const WRITE_QUEUE: usize = 1024;
/// Capacity of the queue to the reader thread; beyond it callers wait.
const READ_QUEUE: usize = 1024;

/// How long [`Store::probe`] relies on an earlier write. Unauthenticated peers may request `/health` at any rate, and
/// must not wear out an SD card with it.
const PROBE_EVERY: Duration = Duration::from_secs(5);

/// Size of the write by which a store that could not write proves that it can again.
const PROBE_BYTES: usize = 64 * 1024;

/// A handle to the store; cheap to clone. Its threads end when the last handle is dropped.
#[derive(Clone, Debug)]
pub struct Store {
    writes: mpsc::Sender<Command>,
    writer: writer::SharedWriter,
    reads: mpsc::Sender<Option<Query>>,
    epoch: Epoch,
    broken_since: watch::Receiver<Option<Timestamp>>,
    probed_at: Arc<Mutex<Instant>>,
}

impl Store {
    /// Opens the folder's database, creates or migrates it, and starts the two threads. In a folder that comes from a
    /// Home Assistant backup, first restores the copy that was made for that backup.
    ///
    /// # Errors
    /// If the folder or the database cannot be used. The text names the file and the remedy.
    pub fn open(folder: &DataFolder, listener: Arc<dyn CommitListener>) -> Result<Self, OpenError> {
        let path = folder.database();
        restore::restore_home_assistant_copy(folder)
            .map_err(|error| OpenError::HomeAssistantCopy(Box::new(error)))?;
        let is_copy = folder.is_new()? && path.exists();
        let mut write_connection = schema::open(&path)?;
        if is_copy {
            snapshot_mark::write(&write_connection, Timestamp::now())
                .map_err(|e| OpenError::sqlite(&path, e))?;
        }
        snapshot_mark::start_new_epoch(&mut write_connection)
            .map_err(|e| OpenError::sqlite(&path, e))?;
        folder.mark_used()?;
        folder.remove_home_assistant_copy();
        let read_connection = schema::open_read_only(&path)?;
        let epoch = schema::epoch(&write_connection).map_err(|e| OpenError::sqlite(&path, e))?;
        let last =
            crate::history::last_id(&write_connection).map_err(|e| OpenError::sqlite(&path, e))?;
        let (broken, broken_since) = watch::channel(None);

        let (writes, write_queue) = mpsc::channel(WRITE_QUEUE);
        let (reads, read_queue) = mpsc::channel(READ_QUEUE);
        let writer = writer::SharedWriter::new(writer::Writer {
            connection: write_connection,
            opened: folder::OpenedFile::at(&path)?,
            listener,
            epoch: epoch.clone(),
            last,
            broken_since: broken,
        });
        let thread_writer = writer.clone();
        spawn("store-writer", move || thread_writer.run(write_queue))?;
        spawn("store-reader", move || {
            reader::run(read_connection, read_queue)
        })?;
        Ok(Self {
            writes,
            writer,
            reads,
            epoch,
            broken_since,
            probed_at: Arc::new(Mutex::new(Instant::now())),
        })
    }

    /// The epoch of the history.
    pub fn epoch(&self) -> &Epoch {
        &self.epoch
    }

    /// False after a write failed because of the disk, until a write succeeds.
    pub fn is_writable(&self) -> bool {
        self.broken_since().is_none()
    }

    /// Since when writes fail because of the disk; `None` if the last write succeeded.
    pub fn broken_since(&self) -> Option<Timestamp> {
        *self.broken_since.borrow()
    }

    /// Watches [`Store::broken_since`].
    pub fn watch_broken(&self) -> watch::Receiver<Option<Timestamp>> {
        self.broken_since.clone()
    }

    /// Runs `change` in its own savepoint and returns its result after the commit.
    ///
    /// # Errors
    /// The error of `change`, which is rolled back then, or a [`StoreError`].
    pub async fn write<T, E, F>(&self, change: F) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
        F: FnOnce(&mut WriteTx<'_>) -> Result<T, E> + Send + 'static,
    {
        let (result_sender, result) = oneshot::channel();
        let command = Command::Write(Box::new(Write::new(change, result_sender)));
        self.writes
            .send(command)
            .await
            .map_err(|_| StoreError::Stopped)?;
        result.await.map_err(|_| StoreError::Stopped)?
    }

    /// Runs `read` on the writer thread between two commits: after the listener has processed every earlier commit and
    /// before it gets a later one. So what `read` reads and what it registers with the hub belong to the same moment.
    /// The second argument is the id of the newest event.
    ///
    /// # Errors
    /// The error of `read`, or [`StoreError::Stopped`].
    pub async fn read_at_commit<T, E, F>(&self, read: F) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
        F: FnOnce(&Connection, EventId) -> Result<T, E> + Send + 'static,
    {
        let (read, result) = with_result_channel(read);
        self.queue(read).await?;
        result.await.map_err(|_| StoreError::Stopped)?
    }

    /// Like [`Store::read_at_commit`], but runs `read` on the calling thread if the writer is idle, because two thread
    /// switches cost more than a small read. `read` must read only a few rows.
    ///
    /// # Errors
    /// The error of `read`, or [`StoreError::Stopped`].
    pub async fn try_read_inline<T, E, F>(&self, read: F) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
        F: FnOnce(&Connection, EventId) -> Result<T, E> + Send + 'static,
    {
        let (read, result) = with_result_channel(read);
        if let Err(read) = self.writer.try_read_inline(read) {
            self.queue(read).await?;
        }
        result.await.map_err(|_| StoreError::Stopped)?
    }

    async fn queue(&self, read: writer::CommitRead) -> Result<(), StoreError> {
        let sent = self.writes.send(Command::Read(read)).await;
        sent.map_err(|_| StoreError::Stopped)
    }

    /// Runs `query` in one read transaction on the reader thread. It sees every commit whose caller got its result.
    ///
    /// # Errors
    /// The error of `query`, or a [`StoreError`].
    pub async fn read<T, E, F>(&self, query: F) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
        F: FnOnce(&Connection) -> Result<T, E> + Send + 'static,
    {
        let (result_sender, result) = oneshot::channel();
        let boxed: Query = Box::new(move |outcome| {
            let result = match outcome {
                Ok(connection) => query(connection),
                Err(error) => Err(StoreError::from(error).into()),
            };
            // The caller may have been cancelled.
            let _ = result_sender.send(result);
        });
        self.reads
            .send(Some(boxed))
            .await
            .map_err(|_| StoreError::Stopped)?;
        result.await.map_err(|_| StoreError::Stopped)?
    }

    /// Stops both threads after the queued work and writes the WAL back into the database file.
    pub async fn close(self) {
        // Sending fails only if the thread has ended already.
        let _ = self.reads.send(None).await;
        self.reads.closed().await;
        let _ = self.writes.send(Command::Close).await;
        self.writes.closed().await;
    }

    /// Whether the disk accepts writes, for `/health`. Tries a small write after a failure, and every `PROBE_EVERY`
    /// otherwise: with few changes nothing else would detect a failed disk.
    pub async fn probe(&self) -> bool {
        if self.is_writable() && !self.is_probe_due() {
            return true;
        }
        // On a full disk a small write may succeed while larger changes still fail.
        let bytes = if self.is_writable() { 0 } else { PROBE_BYTES };
        let tried: Result<(), StoreError> = self.write(move |tx| schema::touch(tx, bytes)).await;
        tried.is_ok()
    }

    /// Returns true once per interval, whatever the number of callers.
    fn is_probe_due(&self) -> bool {
        let mut probed_at = self
            .probed_at
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let is_due = probed_at.elapsed() >= PROBE_EVERY;
        if is_due {
            *probed_at = Instant::now();
        }
        is_due
    }
}

/// Checks every page of the database in a data folder without changing anything. Returns the result for the operator.
///
/// # Errors
/// As [`Store::open`].
pub fn inspect(folder: &Path) -> Result<String, OpenError> {
    let path = folder::database_in(folder);
    if !path.exists() {
        return Ok(format!(
            "{}: no database yet; the first start creates it",
            folder.display()
        ));
    }
    schema::inspect(&path)?;
    Ok(format!("{}: sound", path.display()))
}

/// A number of rows as the integer of an SQL `LIMIT`.
pub fn row_limit(rows: usize) -> i64 {
    i64::try_from(rows).unwrap_or(i64::MAX)
}

/// Boxes a read so that it sends its result through a channel.
fn with_result_channel<T, E, F>(read: F) -> (writer::CommitRead, oneshot::Receiver<Result<T, E>>)
where
    T: Send + 'static,
    E: Send + 'static,
    F: FnOnce(&Connection, EventId) -> Result<T, E> + Send + 'static,
{
    let (result_sender, result) = oneshot::channel();
    let read = move |connection: &Connection, last| {
        // The caller may have been cancelled.
        let _ = result_sender.send(read(connection, last));
    };
    (Box::new(read), result)
}

fn spawn(name: &str, body: impl FnOnce() + Send + 'static) -> Result<(), OpenError> {
    std::thread::Builder::new()
        .name(name.to_owned())
        .spawn(body)
        .map(|_| ())
        .map_err(OpenError::Thread)
}
