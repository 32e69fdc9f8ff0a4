//! The hub's indexes: sessions by number, by principal, by topic and by public id.
//!
//! They contain connected sessions only, so that a publication costs as much as its deliveries and does not depend on
//! the number of clients.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;

use super::outbox::EnqueueResult;
use super::session_set::SessionSet;
use super::{Session, SessionNumber};
use crate::auth::Subject;
use crate::disconnect::SessionFilter;
use crate::event::{Event, EventId, EventType, Topic};
use crate::ids::{AreaId, ConnectionId};

/// How many entries of [`Registry::note_replay_start`] are kept.
const MAX_REPLAY_STARTS: usize = 1024;

#[derive(Debug, Default)]
pub(super) struct Registry {
    sessions: SessionSet,
    by_subject: HashMap<Subject, ConnectedPrincipal>,
    /// How many of the principals are tablets that are waiting to be paired.
    pairing_count: usize,
    by_topic: HashMap<Topic, SessionSet>,
    /// The rooms of each session that is in one.
    rooms: HashMap<SessionNumber, HashSet<Topic>>,
    by_id: HashMap<ConnectionId, Arc<Session>>,
    /// Sessions that resumed from a position before their registration, and that position; the latest ones.
    replay_starts: VecDeque<(ConnectionId, EventId)>,
    /// Number of the current publication, by which [`Session::enqueue`] recognises a repeated delivery.
    publication: u64,
    /// The newest durable event that was published.
    pub(super) last_event: EventId,
}

/// The sessions of a principal, and the topics to which all of them are subscribed.
#[derive(Debug, Default)]
struct ConnectedPrincipal {
    sessions: SessionSet,
    topics: HashSet<Topic>,
}

/// The sessions that queued an event.
#[derive(Debug, Default)]
pub(super) struct Delivery {
    /// How many there are.
    pub(super) count: usize,
    /// Those whose outbox was empty before, so the dispatcher has to write to them.
    pub(super) idle: Vec<Arc<Session>>,
}

impl Delivery {
    fn enqueue(&mut self, session: &Arc<Session>, event: &Arc<Event>, publication: u64) {
        let result = session.enqueue(event, publication);
        self.count += usize::from(result != EnqueueResult::Refused);
        if result == EnqueueResult::First {
            self.idle.push(session.clone());
        }
    }
}

impl Registry {
    /// Adds a session. Subscribes its principal to the given topics, in addition to its present ones.
    pub(super) fn insert<'a>(
        &mut self,
        session: Arc<Session>,
        topics: impl Iterator<Item = &'a Topic>,
    ) {
        let principal = self
            .by_subject
            .entry(session.subject().clone())
            .or_default();
        if principal.sessions.is_empty() {
            self.pairing_count += usize::from(is_pairing(session.subject()));
        }
        principal.sessions.insert(session.clone());
        for topic in topics {
            principal.topics.insert(topic.clone());
            self.by_topic
                .entry(topic.clone())
                .or_default()
                .insert(session.clone());
        }
        if let Some(topic) = session.subject().namespace_topic(session.namespace()) {
            self.by_topic
                .entry(topic)
                .or_default()
                .insert(session.clone());
        }
        self.by_id.insert(session.id().clone(), session.clone());
        self.sessions.insert(session);
    }

    /// Removes a session by its number. False if it is not registered.
    pub(super) fn remove(&mut self, number: SessionNumber) -> bool {
        let Some(session) = self.sessions.remove(number) else {
            return false;
        };
        for room in self.rooms.remove(&number).unwrap_or_default() {
            unsubscribe(&mut self.by_topic, &room, number);
        }
        if let Some(topic) = session.subject().namespace_topic(session.namespace()) {
            unsubscribe(&mut self.by_topic, &topic, number);
        }
        // A newer session may have the same id.
        if self
            .find(session.id())
            .is_some_and(|session| session.number() == number)
        {
            self.by_id.remove(session.id());
        }
        if let Some(principal) = self.by_subject.get_mut(session.subject()) {
            principal.sessions.remove(number);
            for topic in &principal.topics {
                unsubscribe(&mut self.by_topic, topic, number);
            }
            if principal.sessions.is_empty() {
                self.by_subject.remove(session.subject());
                self.pairing_count -= usize::from(is_pairing(session.subject()));
            }
        }
        true
    }

    /// The session with this public id.
    pub(super) fn find(&self, id: &ConnectionId) -> Option<Arc<Session>> {
        self.by_id.get(id).cloned()
    }

    /// Subscribes all sessions of the principal to the topic.
    pub(super) fn join(&mut self, subject: &Subject, topic: &Topic) {
        if let Some(principal) = self.by_subject.get_mut(subject) {
            principal.topics.insert(topic.clone());
            let subscribers = self.by_topic.entry(topic.clone()).or_default();
            for session in principal.sessions.values() {
                subscribers.insert(session.clone());
            }
        }
    }

    /// Ends the subscription of all sessions of the principal to the topic.
    pub(super) fn leave(&mut self, subject: &Subject, topic: &Topic) {
        if let Some(principal) = self.by_subject.get_mut(subject) {
            principal.topics.remove(topic);
            for session in principal.sessions.values() {
                unsubscribe(&mut self.by_topic, topic, session.number());
            }
        }
    }

    pub(super) fn is_in_rooms(&self, number: SessionNumber) -> bool {
        self.rooms
            .get(&number)
            .is_some_and(|rooms| !rooms.is_empty())
    }

    pub(super) fn note_replay_start(&mut self, id: &ConnectionId, beginning: EventId) {
        if self.replay_starts.len() >= MAX_REPLAY_STARTS {
            self.replay_starts.pop_front();
        }
        self.replay_starts.push_back((id.clone(), beginning));
    }

    pub(super) fn has_replay_gap(&self, id: &ConnectionId, after: EventId) -> bool {
        self.replay_starts
            .iter()
            .any(|(resumed, beginning)| resumed == id && after <= *beginning)
    }

    /// Adds a session to a room.
    pub(super) fn add_to_room(&mut self, session: &Arc<Session>, room: &Topic) {
        let number = session.number();
        self.rooms.entry(number).or_default().insert(room.clone());
        self.by_topic
            .entry(room.clone())
            .or_default()
            .insert(session.clone());
    }

    /// Adds the session with this id to the room.
    pub(super) fn enter(&mut self, id: &ConnectionId, room: &Topic) {
        if let Some(session) = self.find(id) {
            self.add_to_room(&session, room);
        }
    }

    /// Removes the session with this id from the room.
    pub(super) fn exit(&mut self, id: &ConnectionId, room: &Topic) {
        if let Some(session) = self.find(id) {
            self.remove_from_room(session.number(), room);
        }
    }

    /// Removes all sessions of the principal from the room.
    pub(super) fn expel(&mut self, subject: &Subject, room: &Topic) {
        for session in self.sessions_of(subject) {
            self.remove_from_room(session.number(), room);
        }
    }

    fn remove_from_room(&mut self, number: SessionNumber, room: &Topic) {
        if let Some(rooms) = self.rooms.get_mut(&number) {
            rooms.remove(room);
            unsubscribe(&mut self.by_topic, room, number);
        }
    }

    fn sessions_of(&self, subject: &Subject) -> Vec<Arc<Session>> {
        self.by_subject
            .get(subject)
            .map(|principal| principal.sessions.values().cloned().collect())
            .unwrap_or_default()
    }

    /// Queues the event for the subscribers of each of its topics.
    pub(super) fn deliver(&mut self, event: &Arc<Event>) -> Delivery {
        self.publication += 1;
        let mut delivery = Delivery::default();
        for sessions in event
            .topics()
            .iter()
            .filter_map(|topic| self.by_topic.get(topic))
        {
            for session in sessions.values() {
                delivery.enqueue(session, event, self.publication);
            }
        }
        delivery
    }

    /// Queues the event for these sessions.
    pub(super) fn deliver_to(&mut self, sessions: &[Arc<Session>], event: &Arc<Event>) -> Delivery {
        self.publication += 1;
        let mut delivery = Delivery::default();
        for session in sessions {
            delivery.enqueue(session, event, self.publication);
        }
        delivery
    }

    /// The sessions that are subscribed to a topic.
    pub(super) fn subscribers(&self, topic: &Topic) -> impl Iterator<Item = &Arc<Session>> {
        self.by_topic
            .get(topic)
            .into_iter()
            .flat_map(SessionSet::values)
    }

    /// The areas to whose topics a principal is subscribed.
    pub(super) fn areas_of(&self, subject: &Subject) -> Vec<AreaId> {
        let principal = self.by_subject.get(subject).into_iter();
        let topics = principal.flat_map(|principal| &principal.topics);
        let area = |topic: &Topic| match topic {
            Topic::Area(id) => Some(id.clone()),
            _ => None,
        };
        topics.filter_map(area).collect()
    }

    /// How many sessions an event of this type on these topics would reach.
    pub(super) fn recipient_count(&mut self, event_type: &EventType, topics: &[Topic]) -> usize {
        // Counts like a publication, so that a session with several matching topics counts once.
        self.publication += 1;
        let publication = self.publication;
        topics
            .iter()
            .filter_map(|topic| self.by_topic.get(topic))
            .flat_map(SessionSet::values)
            .filter(|session| session.accepts(event_type, publication))
            .count()
    }

    /// How many sessions are subscribed to a topic.
    pub(super) fn subscriber_count(&self, topic: &Topic) -> usize {
        self.by_topic.get(topic).map_or(0, SessionSet::len)
    }

    /// Sessions that are subscribed to the topic, or all, in the order of their numbers.
    pub(super) fn page(
        &self,
        topic: Option<&Topic>,
        after: Option<SessionNumber>,
        limit: usize,
    ) -> Vec<Arc<Session>> {
        let matching = match topic {
            Some(topic) => self.by_topic.get(topic),
            None => Some(&self.sessions),
        };
        let sessions = matching.into_iter().flat_map(|set| set.after(after));
        sessions.take(limit).cloned().collect()
    }

    /// Queues the event for all sessions.
    pub(super) fn deliver_everywhere(&mut self, event: &Arc<Event>) -> Delivery {
        self.publication += 1;
        let mut delivery = Delivery::default();
        for session in self.sessions.values() {
            delivery.enqueue(session, event, self.publication);
        }
        delivery
    }

    /// The sessions that a filter selects.
    pub(super) fn select(&self, filter: &SessionFilter) -> Vec<Arc<Session>> {
        match filter {
            SessionFilter::Subject(subject) => self.sessions_of(subject),
            SessionFilter::Token(subject, jti) => self
                .sessions_of(subject)
                .into_iter()
                .filter(|session| session.principal().jti.as_ref() == Some(jti))
                .collect(),
        }
    }

    /// The sessions of a client's oldest connections above its limit. Other principals have no limit.
    pub(super) fn over_limit(&self, subject: &Subject, limit: usize) -> Vec<Arc<Session>> {
        let sessions = match (subject, self.by_subject.get(subject)) {
            (Subject::Client(_), Some(principal)) => &principal.sessions,
            _ => return Vec::new(),
        };
        let mut connections: Vec<Vec<Arc<Session>>> = Vec::new();
        for session in sessions.values() {
            let is_same = |connection: &&mut Vec<Arc<Session>>| {
                connection
                    .first()
                    .is_some_and(|first| first.shares_connection(session))
            };
            match connections.iter_mut().find(is_same) {
                Some(connection) => connection.push(session.clone()),
                None => connections.push(vec![session.clone()]),
            }
        }
        let excess = connections.len().saturating_sub(limit);
        connections.into_iter().take(excess).flatten().collect()
    }

    pub(super) fn count_of(&self, subject: &Subject) -> usize {
        self.by_subject
            .get(subject)
            .map_or(0, |principal| principal.sessions.len())
    }

    pub(super) fn principals(&self) -> Vec<Subject> {
        self.by_subject.keys().cloned().collect()
    }

    /// The number of principals, without tablets that are waiting to be paired.
    pub(super) fn principal_count(&self) -> usize {
        self.by_subject.len() - self.pairing_count
    }
}

fn is_pairing(subject: &Subject) -> bool {
    matches!(subject, Subject::Pairing(_))
}

fn unsubscribe(by_topic: &mut HashMap<Topic, SessionSet>, topic: &Topic, number: SessionNumber) {
    if let Some(sessions) = by_topic.get_mut(topic) {
        sessions.remove(number);
        if sessions.is_empty() {
            by_topic.remove(topic);
        }
    }
}
