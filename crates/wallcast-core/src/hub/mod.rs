//! The connected sessions, their subscriptions, and the publication of events to them.
//!
//! Publishing never waits: the hub pushes an event into the outbox of each subscribed session, and a full outbox
//! affects its own session only. The store's writer thread reports each commit, in commit order.

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
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

pub use connection_writer::{ConnectionWriter, EventWriter};
pub use inbox::{PostError, PostedMessage};
pub use latency::{DeliveryTotals, Percentiles, WINDOW};
pub use metrics::{HubMetrics, SessionMetrics, Totals};
pub use outbox::{DequeueResult, Outbox};
pub use session::{Dialect, Session, SessionNumber};
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

/// The sessions of this process and the topics that they subscribe to. Share it by `Arc`.
#[derive(Default)]
pub struct Hub {
    registry: Mutex<Registry>,
    /// Number of authenticated sessions, for heartbeats and `/health`.
    sessions: AtomicUsize,
    metrics: HubMetrics,
    dispatcher: Dispatcher,
    /// Called when the first session of a client or person opens, or the last one ends.
    on_presence: OnceLock<Box<dyn Fn(Presence) + Send + Sync>>,
    /// Called for each announcement.
    on_announcement: OnceLock<Box<dyn Fn(Announcement) + Send + Sync>>,
}

/// A client or person came online or went offline.
#[derive(Debug, Clone)]
pub struct Presence {
    /// The client or person.
    pub subject: Subject,
    /// The number of its sessions: 1 when it came online, 0 when it went offline.
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
    /// Creates a hub without sessions.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the callback for changes of presence, which are reported in order. The callback must not block or call the
    /// hub. Only the first call has an effect.
    pub fn on_presence(&self, callback: impl Fn(Presence) + Send + Sync + 'static) {
        // A second callback would be a bug in the wiring.
        let _ = self.on_presence.set(Box::new(callback));
    }

    /// Sets the callback for announcements. It must not block. Only the first call has an effect.
    pub fn on_announcement(&self, callback: impl Fn(Announcement) + Send + Sync + 'static) {
        // A second callback would be a bug in the wiring.
        let _ = self.on_announcement.set(Box::new(callback));
    }

    /// Passes an announcement to the callback, without storing it.
    pub fn announce(&self, announcement: Announcement) {
        if let Some(callback) = self.on_announcement.get() {
            callback(announcement);
        }
    }

    /// Registers a session and subscribes it to the topics of the open `spans` and to its open `rooms`.
    ///
    /// Call it between two commits ([`crate::store::Store::read_at_commit`]), so that the subscriptions and the
    /// snapshot belong to the same moment. If a client exceeds `max_sessions` connections, the sessions of its oldest
    /// connections are ended as superseded. So is a half-open session with the same id, which this session replaces.
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
                self.remove(&mut registry, duplicate);
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

    /// Ends the old session that `session` replaces with a `resume` message (`docs/protocol.md#client-messages`). Does
    /// nothing unless both have the same principal and namespace.
    pub fn take_over(&self, session: &Session, old: &ConnectionId) {
        let duplicate = self.registry().find(old).filter(|duplicate| {
            duplicate.is_duplicate_of(session) && duplicate.number() != session.number()
        });
        if let Some(duplicate) = duplicate {
            // End it before it leaves the registry, so that a concurrent revocation still finds it.
            duplicate.end(DisconnectReason::Superseded, None);
            self.remove(&mut self.registry(), &duplicate);
        }
    }

    /// Removes a session. It may be called late or repeatedly: sessions are removed by their number, so a newer session
    /// of the same principal is not affected.
    pub fn unregister(&self, session: &Session) {
        session.close_inbox();
        session.outbox().stop_dispatch();
        let mut registry = self.registry();
        if self.remove(&mut registry, session) {
            let count = registry.count_of(session.subject());
            if count == 0 {
                self.notify_presence(session.subject(), count);
            }
        }
    }

    /// Publishes an event to every session that is subscribed to one of its topics, once each. Returns the number of
    /// sessions that queued it.
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

    /// Sends `heartbeat` to every session. It carries the newest event id, so an idle client's resume position keeps
    /// advancing.
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

    /// Writes queued events to connections, forever. Several calls may run concurrently; without any, events stay
    /// queued.
    pub async fn run_dispatcher(&self) {
        self.dispatcher.run().await;
    }

    /// The number of authenticated sessions.
    pub fn session_count(&self) -> usize {
        self.sessions.load(Ordering::Relaxed)
    }

    /// The counters of messages, events and latency.
    pub fn metrics(&self) -> &HubMetrics {
        &self.metrics
    }

    /// The session with this public id, of any principal.
    pub fn session(&self, id: &ConnectionId) -> Option<Arc<Session>> {
        self.registry().find(id)
    }

    /// Whether the session is in any room.
    pub fn is_in_rooms(&self, session: &Session) -> bool {
        self.registry().is_in_rooms(session.number())
    }

    /// Records that a session resumed from `beginning`, a position before the one with which it was registered. Its
    /// Socket.IO `pid` does not show how far this replay has come.
    pub fn note_replay_start(&self, id: &ConnectionId, beginning: EventId) {
        self.registry().note_replay_start(id, beginning);
    }

    /// Whether a session resumed from an earlier position and is not known to have replayed past it. If so, it must not
    /// be recovered by its `pid` at `after`, because events before that might be missing.
    pub fn has_replay_gap(&self, id: &ConnectionId, after: EventId) -> bool {
        self.registry().has_replay_gap(id, after)
    }

    /// The number of principals with a session, without tablets that are waiting to be paired.
    pub fn principal_count(&self) -> usize {
        self.registry().principal_count()
    }

    /// Every principal with a session.
    pub fn principals(&self) -> Vec<Subject> {
        self.registry().principals()
    }

    /// The number of sessions of a principal.
    pub fn sessions_of(&self, subject: &Subject) -> usize {
        self.registry().count_of(subject)
    }

    /// The newest durable event that was published.
    pub fn last_event(&self) -> EventId {
        self.registry().last_event
    }

    /// Sets the newest event of the stored history, at the daemon's start.
    pub fn set_last_event(&self, last: EventId) {
        self.registry().last_event = last;
    }

    /// Queues the idle sessions for the dispatcher. Returns the number of sessions that queued the event.
    fn dispatch(&self, delivery: Delivery) -> usize {
        self.dispatcher.dispatch(delivery.idle);
        delivery.count
    }

    fn remove(&self, registry: &mut Registry, session: &Session) -> bool {
        let was_registered = registry.remove(session.number());
        if was_registered {
            self.sessions.fetch_sub(1, Ordering::Relaxed);
        }
        was_registered
    }

    fn end(&self, order: EndSessions) -> usize {
        let selected = self.registry().select(&order.filter);
        let final_event = order.final_event.map(Arc::new);
        for session in &selected {
            session.end_with(&selected, order.reason, final_event.clone());
        }
        if !selected.is_empty() {
            tracing::info!(
                reason = order.reason.as_str(),
                sessions = selected.len(),
                "sessions ended"
            );
        }
        selected.len()
    }

    /// Call with the registry locked. Otherwise the reports for a client that disconnects and reconnects at once could
    /// be swapped, and admins would see it offline.
    fn notify_presence(&self, subject: &Subject, sessions: usize) {
        let (Subject::Client(_) | Subject::User(_)) = subject else {
            return;
        };
        if let Some(callback) = self.on_presence.get() {
            callback(Presence {
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
        for tenancy in effects.tenancies {
            for session in self
                .registry()
                .select(&SessionFilter::Subject(tenancy.subject.clone()))
            {
                session.set_tenancy(&tenancy);
            }
        }
        for order in effects.ended {
            self.end(order);
        }
    }
}

/// Formats topics as one field of a log line.
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
