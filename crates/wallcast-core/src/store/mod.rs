//! The one SQLite file of the house: who may open it, and how it is written and read.
//!
//! Only this module opens connections and transactions. One thread writes; what waits for it is
//! committed together, and an answer is given only after its commit. SQL stands in `schema`, in
//! `history` and in the slices' `rows.rs`.

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
pub use tx::WriteTx;
pub use write_behind::WriteBehind;

pub use schema::MIGRATIONS as SCHEMA;

use crate::clock::Timestamp;
use crate::event::{Epoch, EventId};
use reader::Read;
use writer::{Command, Write};

/// Writes that may wait for the writer before callers wait to queue theirs.
const WRITE_QUEUE: usize = 1024;
/// Reads that may wait for the reader.
const READ_QUEUE: usize = 1024;

/// How long `/health` takes the last write's word for it: strangers may ask as often as they like,
/// and an SD card must not wear out by it.
const PROBE_EVERY: Duration = Duration::from_secs(5);

/// What a store that could not write must take before it is called writable again.
const PROBE_BYTES: usize = 64 * 1024;

/// A handle to the store; cheap to clone. The threads end when the last handle is dropped.
#[derive(Clone, Debug)]
pub struct Store {
    writes: mpsc::Sender<Command>,
    writer: writer::SharedWriter,
    reads: mpsc::Sender<Option<Read>>,
    epoch: Epoch,
    broken_since: watch::Receiver<Option<Timestamp>>,
    probed_at: Arc<Mutex<Instant>>,
}

impl Store {
    /// Opens the folder's database, migrating or creating it, and starts its two threads. In a folder out
    /// of Home Assistant's backup it first puts back the copy that was handed out for it.
    ///
    /// # Errors
    /// Names the file and what to do when it is damaged, newer than the program or not ours.
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
        let of_thread = writer.clone();
        spawn("store-writer", move || of_thread.run(write_queue))?;
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

    /// The epoch of this house's history.
    pub fn epoch(&self) -> &Epoch {
        &self.epoch
    }

    /// False since the last write that failed for the disk's sake.
    pub fn is_writable(&self) -> bool {
        self.broken_since().is_none()
    }

    /// Since when the disk takes no writes, as far as the last write tells.
    pub fn broken_since(&self) -> Option<Timestamp> {
        *self.broken_since.borrow()
    }

    /// The same, for whoever waits for it to change.
    pub fn watch_broken(&self) -> watch::Receiver<Option<Timestamp>> {
        self.broken_since.clone()
    }

    /// Runs `change` in a savepoint of its own and answers after the commit that holds it.
    ///
    /// # Errors
    /// The change's own error (nothing of it is kept then), or the store's.
    pub async fn write<T, E, F>(&self, change: F) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
        F: FnOnce(&mut WriteTx<'_>) -> Result<T, E> + Send + 'static,
    {
        let (answer, answered) = oneshot::channel();
        let job = Command::Write(Box::new(Write::new(change, answer)));
        self.writes
            .send(job)
            .await
            .map_err(|_| StoreError::Stopped)?;
        answered.await.map_err(|_| StoreError::Stopped)?
    }

    /// Runs `look` on the writer's thread between two commits, after the hub has heard of every
    /// earlier one and before it hears of any later: what `look` reads and registers is one moment.
    ///
    /// # Errors
    /// The look's own error, or [`StoreError::Stopped`].
    pub async fn read_at_commit<T, E, F>(&self, look: F) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
        F: FnOnce(&Connection, EventId) -> Result<T, E> + Send + 'static,
    {
        let (look, answered) = answering(look);
        self.queue(look).await?;
        answered.await.map_err(|_| StoreError::Stopped)?
    }

    /// The same, but on the caller's own thread if nobody writes just now: two changes of thread cost
    /// more than to read a few rows. For looks that read no more than that.
    ///
    /// # Errors
    /// As [`Store::read_at_commit`].
    pub async fn try_read_inline<T, E, F>(&self, look: F) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
        F: FnOnce(&Connection, EventId) -> Result<T, E> + Send + 'static,
    {
        let (look, answered) = answering(look);
        if let Err(look) = self.writer.try_read_inline(look) {
            self.queue(look).await?;
        }
        answered.await.map_err(|_| StoreError::Stopped)?
    }

    async fn queue(&self, look: writer::CommitRead) -> Result<(), StoreError> {
        let sent = self.writes.send(Command::Read(look)).await;
        sent.map_err(|_| StoreError::Stopped)
    }

    /// Reads one consistent moment, after every commit that was answered.
    ///
    /// # Errors
    /// The query's own error, or the store's.
    pub async fn read<T, E, F>(&self, query: F) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
        F: FnOnce(&Connection) -> Result<T, E> + Send + 'static,
    {
        let (answer, answered) = oneshot::channel();
        let job: Read = Box::new(move |outcome| {
            let result = match outcome {
                Ok(connection) => query(connection),
                Err(error) => Err(StoreError::from(error).into()),
            };
            // Whoever asked may be gone; then nobody needs the answer.
            let _ = answer.send(result);
        });
        self.reads
            .send(Some(job))
            .await
            .map_err(|_| StoreError::Stopped)?;
        answered.await.map_err(|_| StoreError::Stopped)?
    }

    /// Ends both threads after what was queued before, the journal written back into the file.
    pub async fn close(self) {
        // A thread that has ended already is as closed as it can be.
        let _ = self.reads.send(None).await;
        self.reads.closed().await;
        let _ = self.writes.send(Command::Close).await;
        self.writes.closed().await;
    }

    /// Whether the disk takes writes, for `/health`: tried by a small one after a failure, and
    /// every [`PROBE_EVERY`] in a quiet house, where nothing else would find out.
    pub async fn probe(&self) -> bool {
        if self.is_writable() && !self.is_probe_due() {
            return true;
        }
        // On a full disk a small write may fit where no change does.
        let bytes = if self.is_writable() { 0 } else { PROBE_BYTES };
        let tried: Result<(), StoreError> = self.write(move |tx| schema::touch(tx, bytes)).await;
        tried.is_ok()
    }

    /// True once in each interval, however many ask.
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

/// Looks at a data folder without changing it: reads every page of the database.
///
/// # Errors
/// As [`Store::open`].
pub fn inspect(folder: &Path) -> Result<String, OpenError> {
    let path = folder::database_in(folder);
    if !path.exists() {
        return Ok(format!(
            "{}: nothing there yet; the first start makes it",
            folder.display()
        ));
    }
    schema::inspect(&path)?;
    Ok(format!("{}: sound", path.display()))
}

/// A number of rows as SQLite takes it for `LIMIT`.
pub fn row_limit(rows: usize) -> i64 {
    i64::try_from(rows).unwrap_or(i64::MAX)
}

/// A look that sends its answer to whoever waits for it.
fn answering<T, E, F>(look: F) -> (writer::CommitRead, oneshot::Receiver<Result<T, E>>)
where
    T: Send + 'static,
    E: Send + 'static,
    F: FnOnce(&Connection, EventId) -> Result<T, E> + Send + 'static,
{
    let (answer, answered) = oneshot::channel();
    let look = move |connection: &Connection, last| {
        // Whoever asked may be gone; then nobody needs the answer.
        let _ = answer.send(look(connection, last));
    };
    (Box::new(look), answered)
}

fn spawn(name: &str, body: impl FnOnce() + Send + 'static) -> Result<(), OpenError> {
    std::thread::Builder::new()
        .name(name.to_owned())
        .spawn(body)
        .map(|_| ())
        .map_err(OpenError::Thread)
}
