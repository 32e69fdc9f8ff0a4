//! What waits to be written to one session: bounded, empty while idle, shared bytes only.

use std::collections::VecDeque;
use std::mem;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{Ending, Gate, Session};
use crate::event::{Event, EventId};

/// Events that may wait for one session (contract 4.6).
const MAX_FRAMES: usize = 256;
/// Bytes of event data that may wait for one session (contract 4.6).
const MAX_BYTES: usize = 256 * 1024;

/// The queue of one session.
#[derive(Debug)]
pub struct Outbox {
    queue: Mutex<Queue>,
    gate: Arc<Gate>,
}

#[derive(Debug, Default)]
struct Queue {
    events: VecDeque<Arc<Event>>,
    /// The connection's task has told all that comes before these events, so that others may hand
    /// them on as well.
    is_open: bool,
    bytes: usize,
    /// The first durable event that found no place: from there on history must be read.
    missed: Option<EventId>,
    /// States found no place, or are to be told anew: the newest of each is told at once instead.
    owes_states: bool,
    ended: Option<(Ending, Option<Arc<Event>>)>,
}

/// What became of an event that was laid into an outbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pushed {
    /// The session has ended, or there was no place.
    Refused,
    /// It waits behind others.
    Queued,
    /// It is the only one that waits: somebody has to be called.
    First,
}

/// What an outbox had for its session.
#[derive(Debug)]
pub enum Drained {
    /// These events, in order; perhaps none.
    Events(VecDeque<Arc<Event>>),
    /// Nothing is left, and durable events from this one on did not fit.
    Missed(EventId),
    /// The session is to be closed, with this as its last event.
    Ended(Ending, Option<Arc<Event>>),
}

impl Outbox {
    pub(super) fn new(gate: Arc<Gate>) -> Self {
        Self {
            queue: Mutex::default(),
            gate,
        }
    }

    /// The gate of its connection.
    pub fn gate(&self) -> &Gate {
        &self.gate
    }

    /// Queues an event. Refused when the session has ended or the queue is full: an ephemeral event
    /// is dropped then, a durable one is remembered as missed. A state takes the place of an older
    /// one that still waits; where there is none, or the session reads from history, the newest
    /// states are owed instead of all that wait. So durable events find the places of states.
    pub(super) fn push(&self, event: &Arc<Event>) -> Pushed {
        let mut queue = self.queue();
        if queue.ended.is_some() {
            return Pushed::Refused;
        }
        let size = event.data().len();
        if event.is_conflated()
            && let Some(place) = queue.events.iter().position(|older| event.replaces(older))
        {
            queue.replace(place, event);
            return Pushed::Queued;
        }
        let is_behind = queue.missed.is_some();
        if event.is_conflated() {
            if queue.owes_states || is_behind || queue.has_no_place_for(size) {
                queue.owe_states();
                return Pushed::Refused;
            }
        } else if event.id().is_some() && !is_behind && queue.has_no_place_for(size) {
            queue.give_up_states();
        }
        if is_behind || queue.has_no_place_for(size) {
            if let (None, Some(id)) = (queue.missed, event.id()) {
                queue.missed = Some(id);
            }
            return Pushed::Refused;
        }
        queue.bytes += size;
        queue.events.push_back(event.clone());
        match queue.events.len() {
            1 => Pushed::First,
            _ => Pushed::Queued,
        }
    }

    /// Has what waits handed to the kernel through the connection's gate, and its task woken where
    /// that is not all there is to do. `session` is the one that this outbox is of.
    pub(super) fn deliver(&self, session: &Session) {
        if !self.gate.enter().deliver(session) {
            self.gate.wake();
        }
    }

    /// Takes at most `limit` events, for whoever is at the gate but is not the connection's task:
    /// none if the task has to tell something before them, or has to end the session.
    pub fn take_open(&self, limit: usize) -> Option<VecDeque<Arc<Event>>> {
        let mut queue = self.queue();
        let is_free = queue.is_open && queue.ended.is_none();
        is_free.then(|| queue.take(limit))
    }

    /// All that comes before what waits here is told, or queued at the gate: from here on others may
    /// hand on what waits. An outbox begins closed.
    pub fn open(&self) {
        self.queue().is_open = true;
    }

    /// The connection's task has something to tell before what waits.
    pub fn close(&self) {
        self.queue().is_open = false;
    }

    /// Takes at most `limit` events, or says that the session has ended or fell behind. For the
    /// connection's task, which hands them on before anything else.
    pub fn drain(&self, limit: usize) -> Drained {
        let mut queue = self.queue();
        if let Some((ending, last_words)) = &queue.ended {
            return Drained::Ended(*ending, last_words.clone());
        }
        if let (Some(id), true) = (queue.missed, queue.events.is_empty()) {
            return Drained::Missed(id);
        }
        Drained::Events(queue.take(limit))
    }

    /// Whether events wait, or states or history are to be told instead of some.
    pub fn has_more(&self) -> bool {
        let queue = self.queue();
        !queue.events.is_empty() || queue.missed.is_some() || queue.owes_states
    }

    /// Begins with what history has to tell, from this event on. Call before it is registered.
    pub fn start_behind(&self, first: EventId) {
        self.queue().missed = Some(first);
    }

    /// Takes live events again. Call between two commits and only once the history was read to
    /// its end, so that there is no gap between the two.
    pub fn catch_up(&self) {
        self.queue().missed = None;
    }

    /// Has the session told the newest states of all that it may see, once all that waits before is
    /// told and it does not read from history.
    pub fn owe_states(&self) {
        self.queue().owe_states();
        self.gate.wake();
    }

    /// Has the session look again whether it can be told the states that it is owed, if it is.
    pub fn remind_of_states(&self) {
        if self.queue().owes_states {
            self.gate.wake();
        }
    }

    /// Whether the newest states are to be told now.
    pub fn must_tell_states(&self) -> bool {
        let queue = self.queue();
        queue.owes_states
            && queue.events.is_empty()
            && queue.missed.is_none()
            && queue.ended.is_none()
    }

    /// Queues the newest states, if there are any to tell, in the place of those that were owed. Call
    /// while no state can be published, and right after [`Outbox::must_tell_states`].
    pub fn settle_states(&self, newest: Option<Arc<Event>>) {
        let mut queue = self.queue();
        queue.owes_states = false;
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

    /// Empties the queue for good; false if that was done before. Call with the gate entered,
    /// and [`Wire::cut`](super::Wire::cut) there if it was true.
    pub(super) fn seal(&self, ending: Ending, last_words: Option<Arc<Event>>) -> bool {
        let mut queue = self.queue();
        if queue.ended.is_some() {
            return false;
        }
        queue.events = VecDeque::new();
        queue.bytes = 0;
        queue.ended = Some((ending, last_words));
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
            self.owe_states();
        }
    }

    /// The newest states will be told instead of those that wait.
    fn owe_states(&mut self) {
        self.owes_states = true;
        self.events.retain(|event| !event.is_conflated());
        self.bytes = self.events.iter().map(|event| event.data().len()).sum();
    }

    /// The same, if there are any that wait.
    fn give_up_states(&mut self) {
        if self.events.iter().any(|event| event.is_conflated()) {
            self.owe_states();
        }
    }
}
