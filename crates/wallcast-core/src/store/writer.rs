//! The writer thread: commits queued writes in one batch, passes their effects to the listener, then returns results.
//!
//! Each write has its own savepoint, so a failing one rolls back alone. The thread never waits for more writes: a
//! single write is committed at once, and writes that are queued during a commit share the next one.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rusqlite::Connection;
use tokio::sync::{mpsc, oneshot, watch};

use super::effects::{CommitListener, Effects};
use super::folder::OpenedFile;
use super::{StoreError, WriteTx};
use crate::clock::Timestamp;
use crate::event::{Epoch, EventId};

/// Most commands in one batch, which shares one commit.
const MAX_BATCH: usize = 256;

/// A read between two commits. It gets the connection and the id of the newest event.
pub(super) type CommitRead = Box<dyn FnOnce(&Connection, EventId) + Send>;

/// A command to the writer thread.
pub(super) enum Command {
    /// Run and commit a change.
    Write(Box<dyn QueuedWrite>),
    /// Run a read between two commits.
    Read(CommitRead),
    /// Stop after the commands before it.
    Close,
}

/// A write with an erased result type.
pub(super) trait QueuedWrite: Send {
    /// Runs the change. True if it is to be committed.
    fn run(&mut self, tx: &mut WriteTx<'_>) -> bool;
    /// Sends the result to the caller: the change's own, or the error if the commit failed.
    fn respond(self: Box<Self>, commit: Result<(), StoreError>);
}

/// A change and the channel for its result.
pub(super) struct Write<T, E, F> {
    change: Option<F>,
    result: Option<Result<T, E>>,
    result_sender: oneshot::Sender<Result<T, E>>,
}

impl<T, E, F> Write<T, E, F> {
    pub(super) fn new(change: F, result_sender: oneshot::Sender<Result<T, E>>) -> Self {
        Self {
            change: Some(change),
            result: None,
            result_sender,
        }
    }
}

impl<T, E, F> QueuedWrite for Write<T, E, F>
where
    T: Send,
    E: From<StoreError> + Send,
    F: FnOnce(&mut WriteTx<'_>) -> Result<T, E> + Send,
{
    fn run(&mut self, tx: &mut WriteTx<'_>) -> bool {
        let result = self.change.take().map(|change| change(tx));
        let kept = matches!(result, Some(Ok(_)));
        self.result = result;
        kept
    }

    fn respond(self: Box<Self>, commit: Result<(), StoreError>) {
        let result = match (commit, self.result) {
            (Err(error), _) => Err(error.into()),
            (Ok(()), Some(result)) => result,
            (Ok(()), None) => Err(StoreError::Panicked.into()),
        };
        // The caller may have been cancelled; the change is committed nevertheless.
        let _ = self.result_sender.send(result);
    }
}

/// A write that has run in the open transaction and is waiting for the commit.
struct FinishedWrite {
    write: Box<dyn QueuedWrite>,
    /// The store's error because of which the write was rolled back, if any.
    failed: Option<StoreError>,
    /// Whether it changed rows, so that its commit proves that the disk accepts writes.
    wrote: bool,
    effects: Effects,
}

/// Whether the writer thread continues after a batch.
#[derive(PartialEq, Eq)]
enum Next {
    Continue,
    Stop,
}

/// The connection that writes, and what the writer thread knows about it.
pub(super) struct Writer {
    pub(super) connection: Connection,
    pub(super) opened: OpenedFile,
    pub(super) listener: Arc<dyn CommitListener>,
    pub(super) epoch: Epoch,
    pub(super) last: EventId,
    /// Since when writes fail because of the disk.
    pub(super) broken_since: watch::Sender<Option<Timestamp>>,
}

/// The writer, shared by its thread and by callers that read inline. The lock is held for a whole batch, including
/// the calls to the listener.
#[derive(Clone)]
pub(super) struct SharedWriter(Arc<Inner>);

struct Inner {
    /// `None` once the thread has ended.
    writer: Mutex<Option<Writer>>,
    /// The writer thread is waiting for the lock. Inline reads back off then, so that they cannot starve it.
    is_awaited: AtomicBool,
}

impl fmt::Debug for SharedWriter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SharedWriter")
    }
}

impl SharedWriter {
    pub(super) fn new(writer: Writer) -> Self {
        Self(Arc::new(Inner {
            writer: Mutex::new(Some(writer)),
            is_awaited: AtomicBool::new(false),
        }))
    }

    fn lock(&self) -> MutexGuard<'_, Option<Writer>> {
        self.0.is_awaited.store(true, Ordering::Relaxed);
        let writer = self.0.writer.lock();
        self.0.is_awaited.store(false, Ordering::Relaxed);
        writer.unwrap_or_else(PoisonError::into_inner)
    }

    /// The body of the writer thread. It ends on [`Command::Close`], or when every handle to the store is dropped.
    pub(super) fn run(&self, mut queue: mpsc::Receiver<Command>) {
        while let Some(first) = queue.blocking_recv() {
            let mut batch = vec![first];
            while batch.len() < MAX_BATCH {
                match queue.try_recv() {
                    Ok(command) => batch.push(command),
                    Err(_) => break,
                }
            }
            let mut writer = self.lock();
            let next = writer.as_mut().map(|writer| writer.process(batch));
            if next != Some(Next::Continue) {
                break;
            }
        }
        let mut writer = self.lock();
        if let Some(writer) = writer.take()
            && let Err((_, error)) = writer.connection.close()
        {
            tracing::warn!(%error, "cannot close the database cleanly; no data is lost");
        }
    }

    /// Runs the read on this thread if the writer is idle; otherwise returns it.
    pub(super) fn try_read_inline(&self, read: CommitRead) -> Result<(), CommitRead> {
        if self.0.is_awaited.load(Ordering::Relaxed) {
            return Err(read);
        }
        match self.0.writer.try_lock() {
            Ok(writer) => match writer.as_ref() {
                Some(writer) => writer.run_reads(vec![read]),
                None => return Err(read),
            },
            Err(_) => return Err(read),
        }
        Ok(())
    }
}

impl Writer {
    /// Commits the writes of a batch, then runs its reads. A caller that queued a write before a read gets the result
    /// of the write first.
    fn process(&mut self, batch: Vec<Command>) -> Next {
        let mut next = Next::Continue;
        let mut reads = Vec::new();
        let mut writes = Vec::new();
        for command in batch {
            match command {
                Command::Write(write) => writes.push(write),
                Command::Read(read) => reads.push(read),
                Command::Close => next = Next::Stop,
            }
        }
        if !writes.is_empty() {
            self.commit(writes);
        }
        if !reads.is_empty() {
            self.run_reads(reads);
        }
        next
    }

    /// Runs the reads in one transaction, because SQLite would otherwise lock and unlock the file for each statement.
    fn run_reads(&self, reads: Vec<CommitRead>) {
        if let Err(error) = self.execute("BEGIN") {
            tracing::debug!(%error, "cannot begin a read transaction; reading without one");
        }
        for read in reads {
            let guarded = AssertUnwindSafe(|| read(&self.connection, self.last));
            if catch_unwind(guarded).is_err() {
                tracing::error!("a read between commits panicked; its caller gets an error");
            }
        }
        // Nothing was written, so commit and rollback are the same, but the transaction must end.
        if !self.connection.is_autocommit() && self.execute("COMMIT").is_err() {
            self.abandon();
        }
    }

    /// Rolls back an open transaction.
    fn abandon(&self) {
        if !self.connection.is_autocommit()
            && let Err(error) = self.execute("ROLLBACK")
        {
            tracing::error!(%error, "cannot roll back a transaction");
        }
    }

    fn commit(&mut self, writes: Vec<Box<dyn QueuedWrite>>) {
        if let Err(error) = self.begin() {
            self.record_health(Some(&error));
            for write in writes {
                write.respond(Err(copy_of(&error)));
            }
            return;
        }
        let mut last = self.last;
        let mut batch: Vec<FinishedWrite> = writes
            .into_iter()
            .map(|write| self.run_one(write, &mut last))
            .collect();
        // After some errors, such as a full disk, SQLite rolls back the whole transaction by itself.
        let outcome = if self.connection.is_autocommit() {
            Err(batch
                .iter()
                .find_map(|write| write.failed.as_ref().map(copy_of))
                .unwrap_or_else(|| {
                    StoreError::Unavailable("SQLite rolled back the whole transaction".into())
                }))
        } else {
            self.execute("COMMIT").map_err(StoreError::from)
        };
        match outcome {
            Ok(()) => {
                self.last = last;
                if batch.iter().any(|write| write.wrote) {
                    self.record_health(None);
                }
                for write in &mut batch {
                    let effects = std::mem::take(&mut write.effects);
                    if effects.is_empty() {
                        continue;
                    }
                    let apply = AssertUnwindSafe(|| self.listener.committed(effects));
                    if catch_unwind(apply).is_err() {
                        tracing::error!(
                            "the effects of a commit could not be applied: the listener panicked"
                        );
                    }
                }
                for finished in batch {
                    finished.write.respond(finished.failed.map_or(Ok(()), Err));
                }
            }
            Err(error) => {
                self.abandon();
                self.record_health(Some(&error));
                for finished in batch {
                    finished.write.respond(Err(copy_of(&error)));
                }
            }
        }
    }

    fn begin(&self) -> Result<(), StoreError> {
        self.opened.check()?;
        // A transaction left open by a failed rollback would make every later change fail.
        self.abandon();
        Ok(self.execute("BEGIN IMMEDIATE")?)
    }

    /// Runs one of the few statements around every change, which are prepared once.
    fn execute(&self, statement: &str) -> rusqlite::Result<()> {
        self.connection.prepare_cached(statement)?.execute([])?;
        Ok(())
    }

    /// Runs one change in its savepoint. `last` advances only if the change succeeds.
    fn run_one(&self, mut write: Box<dyn QueuedWrite>, last: &mut EventId) -> FinishedWrite {
        let finished = |write, failed| FinishedWrite {
            write,
            failed,
            wrote: false,
            effects: Effects::default(),
        };
        if self.connection.is_autocommit() {
            // After an error in an earlier change SQLite rolled back the transaction. A savepoint would now begin a
            // transaction of its own and commit it, although the whole batch fails.
            let cause = "SQLite rolled back the whole transaction".to_owned();
            return finished(write, Some(StoreError::Unavailable(cause)));
        }
        if let Err(error) = self.execute("SAVEPOINT change") {
            return finished(write, Some(error.into()));
        }
        let written_before = self.connection.total_changes();
        let mut tx = WriteTx::new(
            &self.connection,
            self.epoch.clone(),
            *last,
            Timestamp::now(),
        );
        let succeeded = catch_unwind(AssertUnwindSafe(|| write.run(&mut tx)));
        let outcome = match succeeded {
            Ok(true) => tx.finish().map(Some).map_err(StoreError::from),
            Ok(false) => Ok(None),
            Err(_) => Err(StoreError::Panicked),
        };
        match outcome {
            Ok(Some((effects, reached))) => match self.execute("RELEASE change") {
                Ok(()) => {
                    *last = reached;
                    let wrote = self.connection.total_changes() != written_before;
                    FinishedWrite {
                        write,
                        failed: None,
                        wrote,
                        effects,
                    }
                }
                Err(error) => finished(write, Some(error.into())),
            },
            Ok(None) => finished(write, self.roll_back_one()),
            Err(error) => {
                self.roll_back_one();
                finished(write, Some(error))
            }
        }
    }

    fn roll_back_one(&self) -> Option<StoreError> {
        if self.connection.is_autocommit() {
            return None;
        }
        self.connection
            .execute_batch("ROLLBACK TO change; RELEASE change")
            .err()
            .map(StoreError::from)
    }

    /// Records for `/health` whether the disk accepts writes, and logs when that changes.
    fn record_health(&self, error: Option<&StoreError>) {
        let broken = matches!(error, Some(StoreError::Unavailable(_)));
        let was_writable = self.broken_since.borrow().is_none();
        if broken == was_writable {
            self.broken_since.send_replace(broken.then(Timestamp::now));
        }
        match error {
            Some(error) if broken && was_writable => {
                tracing::error!(%error, "the store cannot write; changes get 503 until it can");
            }
            None if !was_writable => tracing::info!("the store can write again"),
            _ => {}
        }
    }
}

/// A copy of the error for another caller of the same batch.
fn copy_of(error: &StoreError) -> StoreError {
    match error {
        StoreError::Stopped => StoreError::Stopped,
        StoreError::Panicked => StoreError::Panicked,
        other => StoreError::Unavailable(other.to_string()),
    }
}
