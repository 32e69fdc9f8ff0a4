//! The writing thread: takes what waits, commits it together, tells the hub, then answers.
//!
//! Each write has a savepoint of its own, so that a failing one rolls back alone. There is no
//! waiting window: a lone write is committed at once, and what queues meanwhile shares the next
//! commit.

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

/// Writes that share one commit at most.
const MAX_BATCH: usize = 256;

/// A look at the database and at the newest event.
pub(super) type CommitRead = Box<dyn FnOnce(&Connection, EventId) + Send>;

/// What the writer is asked to do.
pub(super) enum Command {
    /// A change.
    Write(Box<dyn Job>),
    /// A look at one moment between two commits.
    Read(CommitRead),
    /// Finish what came before, then end.
    Close,
}

/// A write whose result type is its own business.
pub(super) trait Job: Send {
    /// Runs the change; true when it is to be kept.
    fn run(&mut self, tx: &mut WriteTx<'_>) -> bool;
    /// Answers: what the change said if `commit` is well, else the store's error.
    fn answer(self: Box<Self>, commit: Result<(), StoreError>);
}

/// A change together with whoever waits for it.
pub(super) struct Write<T, E, F> {
    change: Option<F>,
    result: Option<Result<T, E>>,
    answer: oneshot::Sender<Result<T, E>>,
}

impl<T, E, F> Write<T, E, F> {
    pub(super) fn new(change: F, answer: oneshot::Sender<Result<T, E>>) -> Self {
        Self {
            change: Some(change),
            result: None,
            answer,
        }
    }
}

impl<T, E, F> Job for Write<T, E, F>
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

    fn answer(self: Box<Self>, commit: Result<(), StoreError>) {
        let result = match (commit, self.result) {
            (Err(error), _) => Err(error.into()),
            (Ok(()), Some(result)) => result,
            (Ok(()), None) => Err(StoreError::Panicked.into()),
        };
        // Whoever asked may be gone; the change stands all the same.
        let _ = self.answer.send(result);
    }
}

/// A write that ran in the open transaction and waits for its commit.
struct FinishedJob {
    job: Box<dyn Job>,
    /// Why it was rolled back alone, if it was for the store's sake.
    failed: Option<StoreError>,
    /// Whether anything was written, so that its commit proves that the disk takes writes.
    wrote: bool,
    effects: Effects,
}

/// What the writer does after a batch.
#[derive(PartialEq, Eq)]
enum After {
    GoOn,
    End,
}

pub(super) struct Writer {
    pub(super) connection: Connection,
    pub(super) opened: OpenedFile,
    pub(super) listener: Arc<dyn CommitListener>,
    pub(super) epoch: Epoch,
    pub(super) last: EventId,
    /// Since when the disk takes no writes.
    pub(super) broken_since: watch::Sender<Option<Timestamp>>,
}

/// The writer, for its thread and for looks that need not wait for it; none once it has ended. It is
/// held over whole commits, what they tell included.
#[derive(Clone)]
pub(super) struct SharedWriter(Arc<Turns>);

struct Turns {
    writer: Mutex<Option<Writer>>,
    /// The writing thread waits for its turn: looks that need not wait stand back.
    is_awaited: AtomicBool,
}

impl fmt::Debug for SharedWriter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Writer")
    }
}

impl SharedWriter {
    pub(super) fn new(writer: Writer) -> Self {
        Self(Arc::new(Turns {
            writer: Mutex::new(Some(writer)),
            is_awaited: AtomicBool::new(false),
        }))
    }

    fn turn(&self) -> MutexGuard<'_, Option<Writer>> {
        self.0.is_awaited.store(true, Ordering::Relaxed);
        let writer = self.0.writer.lock();
        self.0.is_awaited.store(false, Ordering::Relaxed);
        writer.unwrap_or_else(PoisonError::into_inner)
    }

    /// The writing thread: it ends when it is told to, or when every handle to the store is gone.
    pub(super) fn run(&self, mut queue: mpsc::Receiver<Command>) {
        while let Some(first) = queue.blocking_recv() {
            let mut batch = vec![first];
            while batch.len() < MAX_BATCH {
                match queue.try_recv() {
                    Ok(command) => batch.push(command),
                    Err(_) => break,
                }
            }
            let mut writer = self.turn();
            let after = writer.as_mut().map(|writer| writer.serve(batch));
            if after != Some(After::GoOn) {
                break;
            }
        }
        let mut writer = self.turn();
        if let Some(writer) = writer.take()
            && let Err((_, error)) = writer.connection.close()
        {
            tracing::warn!(%error, "the database could not be closed in order; nothing is lost");
        }
    }

    /// Looks here and now if nobody writes or looks just then; else it gives the look back.
    pub(super) fn try_read_inline(&self, look: CommitRead) -> Result<(), CommitRead> {
        if self.0.is_awaited.load(Ordering::Relaxed) {
            return Err(look);
        }
        match self.0.writer.try_lock() {
            Ok(writer) => match writer.as_ref() {
                Some(writer) => writer.look(vec![look]),
                None => return Err(look),
            },
            Err(_) => return Err(look),
        }
        Ok(())
    }
}

impl Writer {
    /// Looks come after the writes of their batch: whoever asked for both had the write answered first.
    fn serve(&mut self, batch: Vec<Command>) -> After {
        let mut after = After::GoOn;
        let mut looks = Vec::new();
        let mut jobs = Vec::new();
        for command in batch {
            match command {
                Command::Write(job) => jobs.push(job),
                Command::Read(look) => looks.push(look),
                Command::Close => after = After::End,
            }
        }
        if !jobs.is_empty() {
            self.commit(jobs);
        }
        if !looks.is_empty() {
            self.look(looks);
        }
        after
    }

    /// Looks within one read transaction: else SQLite would lock and unlock for each statement.
    fn look(&self, looks: Vec<CommitRead>) {
        if let Err(error) = self.execute("BEGIN") {
            tracing::debug!(%error, "looks are not of one read transaction");
        }
        for look in looks {
            let guarded = AssertUnwindSafe(|| look(&self.connection, self.last));
            if catch_unwind(guarded).is_err() {
                tracing::error!("a look between commits panicked");
            }
        }
        // Nothing was written, so however the transaction ends is right; but it must end.
        if !self.connection.is_autocommit() && self.execute("COMMIT").is_err() {
            self.abandon();
        }
    }

    /// Ends a transaction that nobody will commit.
    fn abandon(&self) {
        if !self.connection.is_autocommit()
            && let Err(error) = self.execute("ROLLBACK")
        {
            tracing::error!(%error, "a transaction could not be rolled back");
        }
    }

    fn commit(&mut self, jobs: Vec<Box<dyn Job>>) {
        if let Err(error) = self.begin() {
            self.note(Some(&error));
            for job in jobs {
                job.answer(Err(again(&error)));
            }
            return;
        }
        let mut last = self.last;
        let mut batch: Vec<FinishedJob> = jobs
            .into_iter()
            .map(|job| self.run_one(job, &mut last))
            .collect();
        // Some of SQLite's errors (a full disk among them) end the whole transaction by themselves.
        let outcome = if self.connection.is_autocommit() {
            Err(batch
                .iter()
                .find_map(|ran| ran.failed.as_ref().map(again))
                .unwrap_or_else(|| {
                    StoreError::Unavailable("SQLite ended the transaction by itself".into())
                }))
        } else {
            self.execute("COMMIT").map_err(StoreError::from)
        };
        match outcome {
            Ok(()) => {
                self.last = last;
                if batch.iter().any(|ran| ran.wrote) {
                    self.note(None);
                }
                for ran in &mut batch {
                    let effects = std::mem::take(&mut ran.effects);
                    if effects.is_empty() {
                        continue;
                    }
                    let tell = AssertUnwindSafe(|| self.listener.committed(effects));
                    if catch_unwind(tell).is_err() {
                        tracing::error!("what a commit told could not be passed on");
                    }
                }
                for ran in batch {
                    ran.job.answer(ran.failed.map_or(Ok(()), Err));
                }
            }
            Err(error) => {
                self.abandon();
                self.note(Some(&error));
                for ran in batch {
                    ran.job.answer(Err(again(&error)));
                }
            }
        }
    }

    fn begin(&self) -> Result<(), StoreError> {
        self.opened.check()?;
        // One that could not be ended would refuse every change from here on.
        self.abandon();
        Ok(self.execute("BEGIN IMMEDIATE")?)
    }

    /// One of the few statements around every change, prepared once.
    fn execute(&self, statement: &str) -> rusqlite::Result<()> {
        self.connection.prepare_cached(statement)?.execute([])?;
        Ok(())
    }

    /// Runs one change in its savepoint; `last` moves on only if the change is kept.
    fn run_one(&self, mut job: Box<dyn Job>, last: &mut EventId) -> FinishedJob {
        let ran = |job, failed| FinishedJob {
            job,
            failed,
            wrote: false,
            effects: Effects::default(),
        };
        if self.connection.is_autocommit() {
            // An earlier change of the batch made SQLite end the transaction. A savepoint would
            // begin one of its own and commit it, although everybody is going to be refused.
            let ended = "SQLite ended the transaction by itself".to_owned();
            return ran(job, Some(StoreError::Unavailable(ended)));
        }
        if let Err(error) = self.execute("SAVEPOINT change") {
            return ran(job, Some(error.into()));
        }
        let written_before = self.connection.total_changes();
        let mut tx = WriteTx::new(
            &self.connection,
            self.epoch.clone(),
            *last,
            Timestamp::now(),
        );
        let kept = catch_unwind(AssertUnwindSafe(|| job.run(&mut tx)));
        let finished = match kept {
            Ok(true) => tx.finish().map(Some).map_err(StoreError::from),
            Ok(false) => Ok(None),
            Err(_) => Err(StoreError::Panicked),
        };
        match finished {
            Ok(Some((effects, reached))) => match self.execute("RELEASE change") {
                Ok(()) => {
                    *last = reached;
                    let wrote = self.connection.total_changes() != written_before;
                    FinishedJob {
                        job,
                        failed: None,
                        wrote,
                        effects,
                    }
                }
                Err(error) => ran(job, Some(error.into())),
            },
            Ok(None) => ran(job, self.roll_back_one()),
            Err(error) => {
                self.roll_back_one();
                ran(job, Some(error))
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

    /// Remembers for `/health` whether the disk takes writes, and logs when that changes.
    fn note(&self, error: Option<&StoreError>) {
        let broken = matches!(error, Some(StoreError::Unavailable(_)));
        let was_writable = self.broken_since.borrow().is_none();
        if broken == was_writable {
            self.broken_since.send_replace(broken.then(Timestamp::now));
        }
        match error {
            Some(error) if broken && was_writable => {
                tracing::error!(%error, "the store cannot write: changes are answered 503 until it can");
            }
            None if !was_writable => tracing::info!("the store can write again"),
            _ => {}
        }
    }
}

/// The same error for another waiter of the same batch.
fn again(error: &StoreError) -> StoreError {
    match error {
        StoreError::Stopped => StoreError::Stopped,
        StoreError::Panicked => StoreError::Panicked,
        other => StoreError::Unavailable(other.to_string()),
    }
}
