//! The indexes of the hub: sessions by principal, by topic and by the id that the outside knows.
//!
//! They hold only who is connected, so that an event costs what is told, not how many clients
//! there are.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;

use super::outbox::EnqueueResult;
use super::session_set::SessionSet;
use super::{Session, SessionNumber};
use crate::auth::Subject;
use crate::disconnect::SessionFilter;
use crate::event::{Event, EventId, EventType, Topic};
use crate::ids::{AreaId, ConnectionId};

/// Rewound sessions that are remembered.
const MAX_REPLAY_STARTS: usize = 1024;

#[derive(Debug, Default)]
pub(super) struct Registry {
    sessions: SessionSet,
    by_subject: HashMap<Subject, Listener>,
    /// How many of those are tablets that wait to be paired, and so nobody yet.
    pairing_count: usize,
    by_topic: HashMap<Topic, SessionSet>,
    /// The rooms of each session that is in any.
    rooms: HashMap<SessionNumber, HashSet<Topic>>,
    by_id: HashMap<ConnectionId, Arc<Session>>,
    /// Sessions that were told from before their beginning, and where that is; the latest ones.
    replay_starts: VecDeque<(ConnectionId, EventId)>,
    /// Counts publications, for [`Session::enqueue`].
    publication: u64,
    /// The newest durable event that was published.
    pub(super) last_event: EventId,
}

/// A connected principal: its sessions, and the topics that all of them listen on.
#[derive(Debug, Default)]
struct Listener {
    sessions: SessionSet,
    topics: HashSet<Topic>,
}

/// Who took an event.
#[derive(Debug, Default)]
pub(super) struct Delivery {
    /// How many sessions.
    pub(super) count: usize,
    /// Those of them that had nothing else to be told, so that nobody is about to serve them.
    pub(super) idle: Vec<Arc<Session>>,
}

impl Delivery {
    fn enqueue(&mut self, session: &Arc<Session>, event: &Arc<Event>, publication: u64) {
        let pushed = session.enqueue(event, publication);
        self.count += usize::from(pushed != EnqueueResult::Refused);
        if pushed == EnqueueResult::First {
            self.idle.push(session.clone());
        }
    }
}

impl Registry {
    /// Adds a session; its principal listens on the topics given, beside those it has.
    pub(super) fn insert<'a>(
        &mut self,
        session: Arc<Session>,
        topics: impl Iterator<Item = &'a Topic>,
    ) {
        let listener = self
            .by_subject
            .entry(session.subject().clone())
            .or_default();
        if listener.sessions.is_empty() {
            self.pairing_count += usize::from(is_pairing(session.subject()));
        }
        listener.sessions.insert(session.clone());
        for topic in topics {
            listener.topics.insert(topic.clone());
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

    /// Removes a session by its own number; false when it is not there.
    pub(super) fn remove(&mut self, number: SessionNumber) -> bool {
        let Some(session) = self.sessions.remove(number) else {
            return false;
        };
        for room in self.rooms.remove(&number).unwrap_or_default() {
            drop_from(&mut self.by_topic, &room, number);
        }
        if let Some(topic) = session.subject().namespace_topic(session.namespace()) {
            drop_from(&mut self.by_topic, &topic, number);
        }
        // A newer session may have taken over the id.
        if self
            .find(session.id())
            .is_some_and(|of| of.number() == number)
        {
            self.by_id.remove(session.id());
        }
        if let Some(listener) = self.by_subject.get_mut(session.subject()) {
            listener.sessions.remove(number);
            for topic in &listener.topics {
                drop_from(&mut self.by_topic, topic, number);
            }
            if listener.sessions.is_empty() {
                self.by_subject.remove(session.subject());
                self.pairing_count -= usize::from(is_pairing(session.subject()));
            }
        }
        true
    }

    /// The session of this id.
    pub(super) fn find(&self, id: &ConnectionId) -> Option<Arc<Session>> {
        self.by_id.get(id).cloned()
    }

    /// Every session of the principal listens on the topic from now on.
    pub(super) fn join(&mut self, subject: &Subject, topic: &Topic) {
        if let Some(listener) = self.by_subject.get_mut(subject) {
            listener.topics.insert(topic.clone());
            let hearers = self.by_topic.entry(topic.clone()).or_default();
            for session in listener.sessions.values() {
                hearers.insert(session.clone());
            }
        }
    }

    /// No session of the principal listens on the topic any more.
    pub(super) fn leave(&mut self, subject: &Subject, topic: &Topic) {
        if let Some(listener) = self.by_subject.get_mut(subject) {
            listener.topics.remove(topic);
            for session in listener.sessions.values() {
                drop_from(&mut self.by_topic, topic, session.number());
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
            .any(|(rewound, beginning)| rewound == id && after <= *beginning)
    }

    /// One session is in the room from now on.
    pub(super) fn add_to_room(&mut self, session: &Arc<Session>, room: &Topic) {
        let number = session.number();
        self.rooms.entry(number).or_default().insert(room.clone());
        self.by_topic
            .entry(room.clone())
            .or_default()
            .insert(session.clone());
    }

    /// The session of that id is in the room from now on.
    pub(super) fn enter(&mut self, id: &ConnectionId, room: &Topic) {
        if let Some(session) = self.find(id) {
            self.add_to_room(&session, room);
        }
    }

    /// The session of that id is no longer in the room.
    pub(super) fn exit(&mut self, id: &ConnectionId, room: &Topic) {
        if let Some(session) = self.find(id) {
            self.forget_room(session.number(), room);
        }
    }

    /// No session of the principal is in the room any more.
    pub(super) fn expel(&mut self, subject: &Subject, room: &Topic) {
        for session in self.sessions_of(subject) {
            self.forget_room(session.number(), room);
        }
    }

    fn forget_room(&mut self, number: SessionNumber, room: &Topic) {
        if let Some(rooms) = self.rooms.get_mut(&number) {
            rooms.remove(room);
            drop_from(&mut self.by_topic, room, number);
        }
    }

    fn sessions_of(&self, subject: &Subject) -> Vec<Arc<Session>> {
        self.by_subject
            .get(subject)
            .map(|listener| listener.sessions.values().cloned().collect())
            .unwrap_or_default()
    }

    /// Offers the event to the sessions of each of its topics.
    pub(super) fn deliver(&mut self, event: &Arc<Event>) -> Delivery {
        self.publication += 1;
        let mut told = Delivery::default();
        for sessions in event.topics().iter().filter_map(|of| self.by_topic.get(of)) {
            for session in sessions.values() {
                told.enqueue(session, event, self.publication);
            }
        }
        told
    }

    /// Offers the event to these sessions.
    pub(super) fn deliver_to(&mut self, sessions: &[Arc<Session>], event: &Arc<Event>) -> Delivery {
        self.publication += 1;
        let mut told = Delivery::default();
        for session in sessions {
            told.enqueue(session, event, self.publication);
        }
        told
    }

    /// Who listens on a topic.
    pub(super) fn subscribers(&self, topic: &Topic) -> impl Iterator<Item = &Arc<Session>> {
        self.by_topic
            .get(topic)
            .into_iter()
            .flat_map(SessionSet::values)
    }

    /// The areas on whose topics a principal listens.
    pub(super) fn areas_of(&self, subject: &Subject) -> Vec<AreaId> {
        let listener = self.by_subject.get(subject).into_iter();
        let topics = listener.flat_map(|listener| &listener.topics);
        let area = |topic: &Topic| match topic {
            Topic::Area(id) => Some(id.clone()),
            _ => None,
        };
        topics.filter_map(area).collect()
    }

    /// How many sessions an event of this type on these topics would be offered to.
    pub(super) fn recipient_count(&mut self, event_type: &EventType, topics: &[Topic]) -> usize {
        // Counted as a publication is delivered, so that several matching topics count once.
        self.publication += 1;
        let publication = self.publication;
        topics
            .iter()
            .filter_map(|topic| self.by_topic.get(topic))
            .flat_map(SessionSet::values)
            .filter(|session| session.accepts(event_type, publication))
            .count()
    }

    /// How many sessions listen on a topic.
    pub(super) fn subscriber_count(&self, topic: &Topic) -> usize {
        self.by_topic.get(topic).map_or(0, SessionSet::len)
    }

    /// Sessions that listen on the topic, or all, by their number.
    pub(super) fn page(
        &self,
        topic: Option<&Topic>,
        after: Option<SessionNumber>,
        limit: usize,
    ) -> Vec<Arc<Session>> {
        let listening = match topic {
            Some(topic) => self.by_topic.get(topic),
            None => Some(&self.sessions),
        };
        let sessions = listening.into_iter().flat_map(|of| of.after(after));
        sessions.take(limit).cloned().collect()
    }

    /// Offers the event to every session there is.
    pub(super) fn deliver_everywhere(&mut self, event: &Arc<Event>) -> Delivery {
        self.publication += 1;
        let mut told = Delivery::default();
        for session in self.sessions.values() {
            told.enqueue(session, event, self.publication);
        }
        told
    }

    /// The sessions of an order to end or change some.
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

    /// The sessions of a client's oldest connections above its limit.
    pub(super) fn over_limit(&self, subject: &Subject, limit: usize) -> Vec<Arc<Session>> {
        let sessions = match (subject, self.by_subject.get(subject)) {
            (Subject::Client(_), Some(listener)) => &listener.sessions,
            _ => return Vec::new(),
        };
        let mut connections: Vec<Vec<Arc<Session>>> = Vec::new();
        for session in sessions.values() {
            let same = |of: &&mut Vec<Arc<Session>>| {
                of.first()
                    .is_some_and(|first| first.shares_connection(session))
            };
            match connections.iter_mut().find(same) {
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
            .map_or(0, |listener| listener.sessions.len())
    }

    pub(super) fn principals(&self) -> Vec<Subject> {
        self.by_subject.keys().cloned().collect()
    }

    /// Principals but waiting tablets.
    pub(super) fn principal_count(&self) -> usize {
        self.by_subject.len() - self.pairing_count
    }
}

fn is_pairing(subject: &Subject) -> bool {
    matches!(subject, Subject::Pairing(_))
}

fn drop_from(by_topic: &mut HashMap<Topic, SessionSet>, topic: &Topic, number: SessionNumber) {
    if let Some(sessions) = by_topic.get_mut(topic) {
        sessions.remove(number);
        if sessions.is_empty() {
            by_topic.remove(topic);
        }
    }
}
