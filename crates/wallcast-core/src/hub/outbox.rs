//! The bounded queue of events that wait to be written to one session. It owns no buffer while it is empty.

use std::collections::VecDeque;
use std::mem;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{ConnectionWriter, Session};
use crate::disconnect::DisconnectReason;
use crate::event::{Event, EventId};

/// Most queued events per session (`docs/protocol.md#back-pressure`).
const MAX_EVENTS: usize = 256;
/// Most bytes of event data queued per session (`docs/protocol.md#back-pressure`).
const MAX_BYTES: usize = 256 * 1024;

/// The event queue of one session, and the writer of its connection.
#[derive(Debug)]
pub struct Outbox {
    queue: Mutex<Queue>,
    writer: Arc<ConnectionWriter>,
}

#[derive(Debug, Default)]
struct Queue {
    events: VecDeque<Arc<Event>>,
    /// The connection's task has written everything that precedes the queued events, so the dispatcher may write them.
    may_dispatch: bool,
    bytes: usize,
    /// The first durable event that did not fit. From it on the session reads the history.
    missed: Option<EventId>,
    /// A state did not fit, or a snapshot was requested: a snapshot of all states follows instead of single ones.
    snapshot_pending: bool,
    ended: Option<(DisconnectReason, Option<Arc<Event>>)>,
}

/// What happened to an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum EnqueueResult {
    /// Not queued, because the session has ended or the queue is full.
    Refused,
    /// Queued behind others.
    Queued,
    /// Queued as the only one, so the dispatcher has to be notified.
    First,
}

/// What the connection's task gets from an outbox.
#[derive(Debug)]
pub enum DequeueResult {
    /// These events, in order; possibly none.
    Events(VecDeque<Arc<Event>>),
    /// The queue is empty, and durable events from this one on did not fit.
    Missed(EventId),
    /// The session is to be closed, with this final event.
    Ended(DisconnectReason, Option<Arc<Event>>),
}

impl Outbox {
    pub(super) fn new(writer: Arc<ConnectionWriter>) -> Self {
        Self {
            queue: Mutex::default(),
            writer,
        }
    }

    /// The writer of the session's connection.
    pub fn writer(&self) -> &ConnectionWriter {
        &self.writer
    }

    /// Queues an event. It is refused if the session has ended or the queue is full; then an ephemeral event is lost,
    /// and the first durable one is recorded as missed.
    ///
    /// A state replaces an older one of the same key. If none is queued and the queue is full, or the session is
    /// reading the history, a snapshot is requested, which replaces all queued states. A durable event that does not
    /// fit also replaces the queued states with a snapshot.
    pub(super) fn push(&self, event: &Arc<Event>) -> EnqueueResult {
        let mut queue = self.queue();
        if queue.ended.is_some() {
            return EnqueueResult::Refused;
        }
        let size = event.data().len();
        if event.is_conflated()
            && let Some(index) = queue.events.iter().position(|older| event.replaces(older))
        {
            queue.replace(index, event);
            return EnqueueResult::Queued;
        }
        let is_behind = queue.missed.is_some();
        if event.is_conflated() {
            if queue.snapshot_pending || is_behind || queue.is_full_for(size) {
                queue.request_snapshot();
                return EnqueueResult::Refused;
            }
        } else if event.id().is_some() && !is_behind && queue.is_full_for(size) {
            queue.replace_states_by_snapshot();
        }
        if is_behind || queue.is_full_for(size) {
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

    /// Writes queued events through the connection's writer, and wakes the connection's task if work remains. `session`
    /// is the owner of this outbox.
    pub(super) fn deliver(&self, session: &Session) {
        if !self.writer.lock().write_events(session) {
            self.writer.wake();
        }
    }

    /// Takes at most `limit` events, for a caller that holds the writer's lock and is not the connection's task. `None`
    /// if the task must write something first or must end the session.
    pub fn take_for_dispatch(&self, limit: usize) -> Option<VecDeque<Arc<Event>>> {
        let mut queue = self.queue();
        let is_allowed = queue.may_dispatch && queue.ended.is_none();
        is_allowed.then(|| queue.take(limit))
    }

    /// Lets the dispatcher write queued events. Call it when everything that precedes them is written, or buffered in
    /// the writer. A new outbox does not allow it.
    pub fn allow_dispatch(&self) {
        self.queue().may_dispatch = true;
    }

    /// Stops the dispatcher from writing queued events, because the connection's task has to write something first.
    pub fn block_dispatch(&self) {
        self.queue().may_dispatch = false;
    }

    /// Blocks dispatch and waits for a write in progress: once it returns, only the connection's task writes
    /// events.
    pub(super) fn stop_dispatch(&self) {
        let _writer = self.writer.lock();
        self.block_dispatch();
    }

    /// Takes at most `limit` events, or reports that the session has ended or must read the history. For the
    /// connection's task, which must write these events before any others.
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

    /// Whether events are queued, or a snapshot or the history must be sent.
    pub fn has_more(&self) -> bool {
        let queue = self.queue();
        !queue.events.is_empty() || queue.missed.is_some() || queue.snapshot_pending
    }

    /// Makes the session read the history from this event on. Call before the session is registered.
    pub fn start_from_history(&self, first: EventId) {
        self.queue().missed = Some(first);
    }

    /// Accepts live events again. Call between two commits and only after the history was read to its end, so that no
    /// event is lost in between.
    pub fn catch_up(&self) {
        self.queue().missed = None;
    }

    /// Requests a snapshot of all states that the session may see. It is sent once the queue is empty and the history
    /// has been read to its end.
    pub fn request_snapshot(&self) {
        self.queue().request_snapshot();
        self.writer.wake();
    }

    /// Wakes the connection's task if a snapshot is pending.
    pub fn retry_snapshot(&self) {
        if self.queue().snapshot_pending {
            self.writer.wake();
        }
    }

    /// Whether a pending snapshot is to be sent now.
    pub fn is_snapshot_due(&self) -> bool {
        let queue = self.queue();
        queue.snapshot_pending
            && queue.events.is_empty()
            && queue.missed.is_none()
            && queue.ended.is_none()
    }

    /// Queues the pending snapshot; `None` if there are no states. Call it right after [`Outbox::is_snapshot_due`],
    /// while no state can be published.
    pub fn queue_snapshot(&self, snapshot: Option<Arc<Event>>) {
        let mut queue = self.queue();
        queue.snapshot_pending = false;
        if queue.ended.is_none()
            && let Some(event) = snapshot
        {
            queue.bytes += event.data().len();
            queue.events.push_back(event);
        }
    }

    /// Whether the session is to be closed. Nothing but the close may be written for it.
    pub fn has_ended(&self) -> bool {
        self.queue().ended.is_some()
    }

    /// Empties the queue for good. False if the session had ended before. Call with the writer locked, and if it
    /// returns true, call [`EventWriter::discard_pending`](super::EventWriter::discard_pending) under the same lock.
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
            // Gives the buffer away too: an idle session keeps none.
            self.bytes = 0;
            return mem::take(&mut self.events);
        }
        let taken: VecDeque<_> = self.events.drain(..limit).collect();
        self.bytes -= taken.iter().map(|event| event.data().len()).sum::<usize>();
        taken
    }

    /// One event of any size always fits into an empty queue.
    fn is_full_for(&self, size: usize) -> bool {
        let is_full = self.events.len() >= MAX_EVENTS || self.bytes + size > MAX_BYTES;
        is_full && !self.events.is_empty()
    }

    /// Replaces a queued state by a newer one: in its place, or at the end if another kind of event was queued after
    /// it, because the newer state may depend on that event.
    fn replace(&mut self, index: usize, newer: &Arc<Event>) {
        let is_state = |event: &Arc<Event>| event.is_conflated();
        let older = if self.events.range(index..).all(is_state) {
            let queued = self.events.get_mut(index);
            queued.map(|older| mem::replace(older, newer.clone()))
        } else {
            self.events.push_back(newer.clone());
            self.events.remove(index)
        };
        let freed = older.map_or(0, |older| older.data().len());
        self.bytes = self.bytes + newer.data().len() - freed;
        if self.bytes > MAX_BYTES && self.events.len() > 1 {
            self.request_snapshot();
        }
    }

    /// Removes the queued states; a snapshot follows instead.
    fn request_snapshot(&mut self) {
        self.snapshot_pending = true;
        self.events.retain(|event| !event.is_conflated());
        self.bytes = self.events.iter().map(|event| event.data().len()).sum();
    }

    /// Requests a snapshot if states are queued, to make room.
    fn replace_states_by_snapshot(&mut self) {
        if self.events.iter().any(|event| event.is_conflated()) {
            self.request_snapshot();
        }
    }
}
