//! Who is connected, on which topics, and the one door by which events reach them.
//!
//! Telling never awaits: an event is pushed into the outbox of each session that listens
//! on one of its topics, and a full outbox is that session's matter. Hears of changes from the
//! store's writer alone, after each commit and in its order. A second node would come in here,
//! through [`Hub::publish`].

mod connection_writer;
mod dispatcher;
mod inbox;
mod latency;
mod metrics;
mod outbox;
mod registry;
mod session;
mod session_set;
mod states;
mod statistics;
#[cfg(test)]
mod tests;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

pub use connection_writer::{ConnectionWriter, EventWriter};
pub use inbox::{PostError, PostedMessage};
pub use latency::{Deliveries, Percentiles, WINDOW};
pub use metrics::{HubMetrics, SessionMetrics, Totals};
pub use outbox::{DequeueResult, Outbox};
pub use session::{Address, Dialect, Session, SessionNumber};
pub use statistics::ConnectionStats;

use crate::auth::Subject;
use crate::clock::Timestamp;
use crate::disconnect::{DisconnectReason, EndSessions, SessionFilter};
use crate::event::{Announcement, Epoch, Event, EventId, EventType, NewEvent, Position, Topic};
use crate::history::Span;
use crate::ids::ConnectionId;
use crate::store::{CommitListener, Effects, RoomMembership};
use dispatcher::Dispatcher;
use registry::{Delivery, Registry};

/// The hub; share it by `Arc`.
#[derive(Default)]
pub struct Hub {
    registry: Mutex<Registry>,
    /// Sessions that proved who they are, for `heartbeat` and `/health`.
    sessions: AtomicUsize,
    metrics: HubMetrics,
    dispatcher: Dispatcher,
    /// Delivery when a client's or person's first session opens or its last one ends.
    on_presence: std::sync::OnceLock<Box<dyn Fn(Presence) + Send + Sync>>,
    /// Delivery what whoever is outside may want to know.
    on_announcement: std::sync::OnceLock<Box<dyn Fn(Announcement) + Send + Sync>>,
}

/// A client or a person came or went.
#[derive(Debug, Clone)]
pub struct Presence {
    /// Who.
    pub subject: Subject,
    /// How many sessions it has now.
    pub sessions: usize,
}

impl std::fmt::Debug for Hub {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Hub")
            .field("sessions", &self.session_count())
            .finish_non_exhaustive()
    }
}

impl Hub {
    /// An empty hub.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets who is told of presence, in the order in which it comes about. The callback must not
    /// block nor call the hub; only the first call counts.
    pub fn on_presence(&self, callback: impl Fn(Presence) + Send + Sync + 'static) {
        // A second listener would be a mistake in `app`; the first one stays.
        let _ = self.on_presence.set(Box::new(callback));
    }

    /// Sets who carries announcements outside. The callback must not block; only the first call
    /// counts.
    pub fn on_announcement(&self, callback: impl Fn(Announcement) + Send + Sync + 'static) {
        // A second listener would be a mistake in `app`; the first one stays.
        let _ = self.on_announcement.set(Box::new(callback));
    }

    /// Hands on what whoever is outside may want to know; nobody keeps it.
    pub fn announce(&self, announcement: Announcement) {
        if let Some(tell) = self.on_announcement.get() {
            tell(announcement);
        }
    }

    /// Registers a session on the topics of its principal's open spans and in its own rooms. Call between two commits
    /// ([`crate::store::Store::read_at_commit`]), so that topics and snapshot are of one moment.
    /// Of more than `max_sessions` of one client the oldest are ended as superseded, as is a
    /// half-open session of the same id: this one goes on in its place.
    pub fn register(
        &self,
        session: Arc<Session>,
        spans: &[Span],
        rooms: &[Span],
        max_sessions: usize,
    ) {
        let topics = spans
            .iter()
            .filter(|span| span.is_open())
            .map(|span| &span.topic);
        let superseded = {
            let mut registry = self.registry();
            let duplicate = registry
                .find(session.id())
                .filter(|duplicate| duplicate.is_duplicate_of(&session));
            registry.insert(session.clone(), topics);
            for room in rooms.iter().filter(|span| span.is_open()) {
                registry.add_to_room(&session, &room.topic);
            }
            self.sessions.fetch_add(1, Ordering::Relaxed);
            self.metrics.opened();
            if let Some(duplicate) = &duplicate {
                self.forget(&mut registry, duplicate);
            } else if registry.count_of(session.subject()) == 1 {
                self.notify_presence(session.subject(), 1);
            }
            let mut superseded = registry.over_limit(session.subject(), max_sessions);
            superseded.extend(duplicate);
            superseded
        };
        for old in &superseded {
            old.end_with(&superseded, DisconnectReason::Superseded, None);
        }
    }

    /// Ends an old session of the principal in the same namespace, whose place `session` takes by
    /// message (contract 4.5, `resume`).
    pub fn take_over(&self, session: &Session, old: &ConnectionId) {
        let duplicate = self.registry().find(old).filter(|duplicate| {
            duplicate.is_duplicate_of(session) && duplicate.number() != session.number()
        });
        if let Some(duplicate) = duplicate {
            // Found as long as it has not ended: a revocation may come now.
            duplicate.end(DisconnectReason::Superseded, None);
            self.forget(&mut self.registry(), &duplicate);
        }
    }

    /// Forgets a session. Another session of the same principal is not touched, however late
    /// this comes: the key is the session's own number.
    pub fn unregister(&self, session: &Session) {
        session.close_inbox();
        session.outbox().stop_dispatch();
        let mut registry = self.registry();
        if self.forget(&mut registry, session) {
            let count = registry.count_of(session.subject());
            if count == 0 {
                self.notify_presence(session.subject(), count);
            }
        }
    }

    /// Hands an event to every session that listens on one of its topics, once each. Returns how
    /// many that were.
    pub fn publish(&self, event: Event) -> usize {
        self.metrics.published(&event);
        let event = Arc::new(event.published_now());
        let delivery = {
            let mut registry = self.registry();
            if let Some(id) = event.id() {
                registry.last_event = id;
            }
            registry.deliver(&event)
        };
        let sessions = self.dispatch(delivery);
        tracing::info!(
            event = %event.event_type(),
            id = event.id().map(EventId::get),
            topics = %Topics(event.topics()),
            sessions,
            "event published"
        );
        sessions
    }

    /// Tells every session `heartbeat` (contract 4.2), which also moves a quiet tablet's position.
    pub fn heartbeat(&self, epoch: &Epoch) -> usize {
        let delivery = {
            let mut registry = self.registry();
            let now = Timestamp::now();
            let data = serde_json::json!({
                "timestamp": now,
                "clients": self.session_count(),
                "lastEventId": registry.last_event,
            });
            let position = Position {
                epoch: epoch.clone(),
                id: registry.last_event,
            };
            let beat = NewEvent::new(EventType::HEARTBEAT, &data, Vec::new());
            let beat = Event::ephemeral(beat, now).with_position(position);
            registry.deliver_everywhere(&Arc::new(beat))
        };
        self.dispatch(delivery)
    }

    /// Carries events from outboxes to the kernel, for ever. Several may run at once; without any
    /// nobody is told.
    pub async fn run_dispatcher(&self) {
        self.dispatcher.run().await;
    }

    /// Sessions that have proven who they are.
    pub fn session_count(&self) -> usize {
        self.sessions.load(Ordering::Relaxed)
    }

    /// What went to and came from sessions.
    pub fn metrics(&self) -> &HubMetrics {
        &self.metrics
    }

    /// The session that the outside calls by this id, whoever's it is.
    pub fn session(&self, id: &ConnectionId) -> Option<Arc<Session>> {
        self.registry().find(id)
    }

    /// Whether a session is in any room.
    pub fn is_in_rooms(&self, session: &Session) -> bool {
        self.registry().is_in_rooms(session.number())
    }

    /// A session that began after `beginning` is told what came before as well. Its `pid` says
    /// nothing of how far it came in that.
    pub fn note_replay_start(&self, id: &ConnectionId, beginning: EventId) {
        self.registry().note_replay_start(id, beginning);
    }

    /// Whether a session was told from before its beginning and is not known to have come past it.
    pub fn has_replay_gap(&self, id: &ConnectionId, after: EventId) -> bool {
        self.registry().has_replay_gap(id, after)
    }

    /// Principals with at least one session; tablets that wait to be paired are none yet.
    pub fn principal_count(&self) -> usize {
        self.registry().principal_count()
    }

    /// Every principal with at least one session.
    pub fn principals(&self) -> Vec<Subject> {
        self.registry().principals()
    }

    /// How many sessions a principal has.
    pub fn sessions_of(&self, subject: &Subject) -> usize {
        self.registry().count_of(subject)
    }

    /// The newest durable event that was told.
    pub fn last_event(&self) -> EventId {
        self.registry().last_event
    }

    /// Sets where the history stands at the start.
    pub fn set_last_event(&self, last: EventId) {
        self.registry().last_event = last;
    }

    /// Has served who has something to be told. Returns how many were told.
    fn dispatch(&self, delivery: Delivery) -> usize {
        self.dispatcher.dispatch(delivery.idle);
        delivery.count
    }

    fn forget(&self, registry: &mut Registry, session: &Session) -> bool {
        let was_there = registry.remove(session.number());
        if was_there {
            self.sessions.fetch_sub(1, Ordering::Relaxed);
        }
        was_there
    }

    fn end(&self, order: EndSessions) -> usize {
        let chosen = self.registry().select(&order.filter);
        let final_event = order.final_event.map(Arc::new);
        for session in &chosen {
            session.end_with(&chosen, order.reason, final_event.clone());
        }
        if !chosen.is_empty() {
            tracing::info!(
                reason = order.reason.as_str(),
                sessions = chosen.len(),
                "sessions ended"
            );
        }
        chosen.len()
    }

    /// Call with the registry locked: else a client that leaves and comes back at once could be
    /// told the other way round, and stay offline to admins while it is here.
    fn notify_presence(&self, subject: &Subject, sessions: usize) {
        let (Subject::Client(_) | Subject::User(_)) = subject else {
            return;
        };
        if let Some(tell) = self.on_presence.get() {
            tell(Presence {
                subject: subject.clone(),
                sessions,
            });
        }
    }

    fn registry(&self) -> MutexGuard<'_, Registry> {
        self.registry.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl CommitListener for Hub {
    fn committed(&self, effects: Effects) {
        for (subject, topic) in effects.joined {
            self.registry().join(&subject, &topic);
        }
        for RoomMembership { session, room, .. } in effects.entered {
            self.registry().enter(&session, &room);
        }
        for event in effects.events {
            self.publish(event);
        }
        for RoomMembership { session, room, .. } in effects.exited {
            self.registry().exit(&session, &room);
        }
        for (subject, room) in effects.expelled {
            self.registry().expel(&subject, &room);
        }
        for (subject, topic) in effects.left {
            self.registry().leave(&subject, &topic);
        }
        for (old, principal) in effects.token_changes {
            let filter = SessionFilter::Token(principal.subject.clone(), old);
            for session in self.registry().select(&filter) {
                session.set_principal(principal.clone());
            }
        }
        for announcement in effects.announced {
            self.announce(announcement);
        }
        for moved in effects.tenancies {
            for session in self
                .registry()
                .select(&SessionFilter::Subject(moved.subject.clone()))
            {
                session.set_tenancy(&moved);
            }
        }
        for order in effects.ended {
            self.end(order);
        }
    }
}

/// Topics as one field of a log line.
struct Topics<'a>(&'a [Topic]);

impl std::fmt::Display for Topics<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (index, topic) in self.0.iter().enumerate() {
            let comma = if index == 0 { "" } else { "," };
            write!(f, "{comma}{topic}")?;
        }
        Ok(())
    }
}
