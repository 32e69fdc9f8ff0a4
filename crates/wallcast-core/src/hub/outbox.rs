//! What waits to be written to one session: bounded, empty while idle, shared bytes only.

use std::collections::VecDeque;
use std::mem;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{ConnectionWriter, Session};
use crate::disconnect::DisconnectReason;
use crate::event::{Event, EventId};

/// Events that may wait for one session (contract 4.6).
const MAX_FRAMES: usize = 256;
/// Bytes of event data that may wait for one session (contract 4.6).
const MAX_BYTES: usize = 256 * 1024;

/// The queue of one session.
#[derive(Debug)]
pub struct Outbox {
    queue: Mutex<Queue>,
    writer: Arc<ConnectionWriter>,
}

#[derive(Debug, Default)]
struct Queue {
    events: VecDeque<Arc<Event>>,
    /// The connection's task has told all that comes before these events, so that others may hand
    /// them on as well.
    may_dispatch: bool,
    bytes: usize,
    /// The first durable event that found no place: from there on history must be read.
    missed: Option<EventId>,
    /// States found no place, or are to be told anew: the newest of each is told at once instead.
    snapshot_pending: bool,
    ended: Option<(DisconnectReason, Option<Arc<Event>>)>,
}

/// What became of an event that was laid into an outbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum EnqueueResult {
    /// The session has ended, or there was no place.
    Refused,
    /// It waits behind others.
    Queued,
    /// It is the only one that waits: somebody has to be called.
    First,
}

/// What an outbox had for its session.
#[derive(Debug)]
pub enum DequeueResult {
    /// These events, in order; perhaps none.
    Events(VecDeque<Arc<Event>>),
    /// Nothing is left, and durable events from this one on did not fit.
    Missed(EventId),
    /// The session is to be closed, with this as its last event.
    Ended(DisconnectReason, Option<Arc<Event>>),
}

impl Outbox {
    pub(super) fn new(writer: Arc<ConnectionWriter>) -> Self {
        Self {
            queue: Mutex::default(),
            writer,
        }
    }

    /// The writer of its connection.
    pub fn writer(&self) -> &ConnectionWriter {
        &self.writer
    }

    /// Queues an event. Refused when the session has ended or the queue is full: an ephemeral event
    /// is dropped then, a durable one is remembered as missed. A state takes the place of an older
    /// one that still waits; where there is none, or the session reads from history, the newest
    /// states are owed instead of all that wait. So durable events find the places of states.
    pub(super) fn push(&self, event: &Arc<Event>) -> EnqueueResult {
        let mut queue = self.queue();
        if queue.ended.is_some() {
            return EnqueueResult::Refused;
        }
        let size = event.data().len();
        if event.is_conflated()
            && let Some(place) = queue.events.iter().position(|older| event.replaces(older))
        {
            queue.replace(place, event);
            return EnqueueResult::Queued;
        }
        let is_behind = queue.missed.is_some();
        if event.is_conflated() {
            if queue.snapshot_pending || is_behind || queue.has_no_place_for(size) {
                queue.request_snapshot();
                return EnqueueResult::Refused;
            }
        } else if event.id().is_some() && !is_behind && queue.has_no_place_for(size) {
            queue.replace_states_by_snapshot();
        }
        if is_behind || queue.has_no_place_for(size) {
            if let (None, Some(id)) = (queue.missed, event.id()) {
                queue.missed = Some(id);
            }
            return EnqueueResult::Refused;
        }
        queue.bytes += size;
        queue.events.push_back(event.clone());
        match queue.events.len() {
            1 => EnqueueResult::First,
            _ => EnqueueResult::Queued,
        }
    }

    /// Has what waits handed to the kernel through the connection's writer, and its task woken where
    /// that is not all there is to do. `session` is the one that this outbox is of.
    pub(super) fn deliver(&self, session: &Session) {
        if !self.writer.lock().write_events(session) {
            self.writer.wake();
        }
    }

    /// Takes at most `limit` events, for whoever is at the writer but is not the connection's task:
    /// none if the task has to tell something before them, or has to end the session.
    pub fn take_for_dispatch(&self, limit: usize) -> Option<VecDeque<Arc<Event>>> {
        let mut queue = self.queue();
        let is_free = queue.may_dispatch && queue.ended.is_none();
        is_free.then(|| queue.take(limit))
    }

    /// All that comes before what waits here is told, or queued at the writer: from here on others may
    /// hand on what waits. An outbox begins closed.
    pub fn allow_dispatch(&self) {
        self.queue().may_dispatch = true;
    }

    /// The connection's task has something to tell before what waits.
    pub fn block_dispatch(&self) {
        self.queue().may_dispatch = false;
    }

    /// Its session leaves: once this has returned nobody hands on what waits.
    pub(super) fn stop_dispatch(&self) {
        let _wire = self.writer.lock();
        self.block_dispatch();
    }

    /// Takes at most `limit` events, or says that the session has ended or fell behind. For the
    /// connection's task, which hands them on before anything else.
    pub fn drain(&self, limit: usize) -> DequeueResult {
        let mut queue = self.queue();
        if let Some((reason, final_event)) = &queue.ended {
            return DequeueResult::Ended(*reason, final_event.clone());
        }
        if let (Some(id), true) = (queue.missed, queue.events.is_empty()) {
            return DequeueResult::Missed(id);
        }
        DequeueResult::Events(queue.take(limit))
    }

    /// Whether events wait, or states or history are to be told instead of some.
    pub fn has_more(&self) -> bool {
        let queue = self.queue();
        !queue.events.is_empty() || queue.missed.is_some() || queue.snapshot_pending
    }

    /// Begins with what history has to tell, from this event on. Call before it is registered.
    pub fn start_from_history(&self, first: EventId) {
        self.queue().missed = Some(first);
    }

    /// Takes live events again. Call between two commits and only once the history was read to
    /// its end, so that there is no gap between the two.
    pub fn catch_up(&self) {
        self.queue().missed = None;
    }

    /// Has the session told the newest states of all that it may see, once all that waits before is
    /// told and it does not read from history.
    pub fn request_snapshot(&self) {
        self.queue().request_snapshot();
        self.writer.wake();
    }

    /// Has the session look again whether it can be told the states that it is owed, if it is.
    pub fn retry_snapshot(&self) {
        if self.queue().snapshot_pending {
            self.writer.wake();
        }
    }

    /// Whether the newest states are to be told now.
    pub fn is_snapshot_due(&self) -> bool {
        let queue = self.queue();
        queue.snapshot_pending
            && queue.events.is_empty()
            && queue.missed.is_none()
            && queue.ended.is_none()
    }

    /// Queues the newest states, if there are any to tell, in the place of those that were owed. Call
    /// while no state can be published, and right after [`Outbox::is_snapshot_due`].
    pub fn queue_snapshot(&self, newest: Option<Arc<Event>>) {
        let mut queue = self.queue();
        queue.snapshot_pending = false;
        if queue.ended.is_none()
            && let Some(event) = newest
        {
            queue.bytes += event.data().len();
            queue.events.push_back(event);
        }
    }

    /// Whether the session is to be closed: nothing else may be handed to the kernel for it.
    pub fn has_ended(&self) -> bool {
        self.queue().ended.is_some()
    }

    /// Empties the queue for good; false if that was done before. Call with the writer entered,
    /// and [`EventWriter::discard_pending`](super::EventWriter::discard_pending) there if it was true.
    pub(super) fn end(&self, reason: DisconnectReason, final_event: Option<Arc<Event>>) -> bool {
        let mut queue = self.queue();
        if queue.ended.is_some() {
            return false;
        }
        queue.events = VecDeque::new();
        queue.bytes = 0;
        queue.ended = Some((reason, final_event));
        true
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Queue {
    fn take(&mut self, limit: usize) -> VecDeque<Arc<Event>> {
        if self.events.len() <= limit {
            // As it is: an idle session keeps no buffer.
            self.bytes = 0;
            return mem::take(&mut self.events);
        }
        let taken: VecDeque<_> = self.events.drain(..limit).collect();
        self.bytes -= taken.iter().map(|event| event.data().len()).sum::<usize>();
        taken
    }

    /// One event may always wait, however large.
    fn has_no_place_for(&self, size: usize) -> bool {
        let is_full = self.events.len() >= MAX_FRAMES || self.bytes + size > MAX_BYTES;
        is_full && !self.events.is_empty()
    }

    /// Has a state wait instead of an older one: in its place, or at the end where an event that is no
    /// state came in between, since what the newer one says may be so only after that.
    fn replace(&mut self, place: usize, newer: &Arc<Event>) {
        let is_state = |event: &Arc<Event>| event.is_conflated();
        let older = if self.events.range(place..).all(is_state) {
            let waiting = self.events.get_mut(place);
            waiting.map(|older| std::mem::replace(older, newer.clone()))
        } else {
            self.events.push_back(newer.clone());
            self.events.remove(place)
        };
        let freed = older.map_or(0, |older| older.data().len());
        self.bytes = self.bytes + newer.data().len() - freed;
        if self.bytes > MAX_BYTES && self.events.len() > 1 {
            self.request_snapshot();
        }
    }

    /// The newest states will be told instead of those that wait.
    fn request_snapshot(&mut self) {
        self.snapshot_pending = true;
        self.events.retain(|event| !event.is_conflated());
        self.bytes = self.events.iter().map(|event| event.data().len()).sum();
    }

    /// The same, if there are any that wait.
    fn replace_states_by_snapshot(&mut self) {
        if self.events.iter().any(|event| event.is_conflated()) {
            self.request_snapshot();
        }
    }
}
