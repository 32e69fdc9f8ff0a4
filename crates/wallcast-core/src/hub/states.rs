//! Telling states, of which only the newest counts: each session by the topics that it listens on,
//! and anew where single ones found no place. Knows no entity; what is told is its caller's.

use std::collections::HashMap;
use std::sync::Arc;

use super::registry::Registry;
use super::{Hub, Session};
use crate::auth::Subject;
use crate::event::{Event, EventType, Topic};
use crate::ids::AreaId;

/// Sessions that listen on the same ones of some topics, by their places among these.
type Group = (Vec<usize>, Vec<Arc<Session>>);

impl Hub {
    /// Hands a state to every session that listens on one of the topics: `make` gives the event for
    /// those that listen on just these of them, by their places, and is asked only for what
    /// somebody hears. So an event tells nobody of a topic that is not its own. Returns how many
    /// sessions were told.
    pub fn publish_per_audience(
        &self,
        topics: &[Topic],
        make: impl Fn(&[usize]) -> Event,
    ) -> usize {
        let mut registry = self.registry();
        let mut told = 0;
        for (matched, sessions) in registry.groups(topics) {
            let event = make(&matched).published_now();
            self.metrics.published(&event);
            told += self.dispatch(registry.deliver_to(&sessions, &Arc::new(event)));
        }
        if told > 0 {
            // Thousands a second may come: the one line an event is for those that are kept.
            tracing::debug!(topics = %super::Topics(topics), sessions = told, "state published");
        }
        told
    }

    /// Has every session that listens on one of the topics tell all its states anew.
    pub fn request_snapshot(&self, topics: &[Topic]) {
        for (_, sessions) in self.registry().groups(topics) {
            let hears = |session: &&Arc<Session>| {
                EventType::ENTITY_STATES.is_delivered_in(session.namespace())
            };
            for session in sessions.iter().filter(hears) {
                session.outbox().request_snapshot();
            }
        }
    }

    /// Has sessions that are still owed states look again whether they can be told.
    pub fn retry_snapshots(&self) {
        for session in self.registry().subscribers(&Topic::All) {
            session.outbox().retry_snapshot();
        }
    }

    /// The areas of a connected principal, as its sessions hear them now.
    pub fn areas_of(&self, subject: &Subject) -> Vec<AreaId> {
        self.registry().areas_of(subject)
    }
}

impl Registry {
    fn groups(&self, topics: &[Topic]) -> Vec<Group> {
        let heard = topics.iter().enumerate().flat_map(|(place, topic)| {
            let sessions = self.subscribers(topic);
            sessions.map(move |session| (session, place))
        });
        let mut heard: Vec<_> = heard.collect();
        // Each topic's are in order already, so that this costs nothing where there is one.
        heard.sort_by_key(|(session, _)| session.number());
        let mut groups: HashMap<Vec<usize>, Vec<Arc<Session>>> = HashMap::new();
        let mut places = Vec::new();
        for of_one in heard.chunk_by(|(one, _), (next, _)| one.number() == next.number()) {
            let Some((session, _)) = of_one.first() else {
                continue;
            };
            places.clear();
            places.extend(of_one.iter().map(|(_, place)| *place));
            match groups.get_mut(places.as_slice()) {
                Some(group) => group.push(Arc::clone(session)),
                None => drop(groups.insert(places.clone(), vec![Arc::clone(session)])),
            }
        }
        groups.into_iter().collect()
    }
}
