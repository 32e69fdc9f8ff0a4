//! Publishes states, of which only the newest counts: each session gets them for its own topics, or a snapshot if
//! single states did not fit. The module knows no entities; the caller builds the events.

use std::collections::HashMap;
use std::sync::Arc;

use super::registry::Registry;
use super::{Hub, Session};
use crate::auth::Subject;
use crate::event::{Event, EventType, Topic};
use crate::ids::AreaId;

/// The indexes of some topics, and the sessions that are subscribed to exactly these of the given topics.
type Group = (Vec<usize>, Vec<Arc<Session>>);

impl Hub {
    /// Publishes a state to every session that is subscribed to one of the topics, in a form that reveals only topics
    /// of that session. `make` builds the event for the sessions that are subscribed to exactly the topics with the given
    /// indexes; it is called once for each combination that has sessions. Returns the number of sessions that queued
    /// it.
    pub fn publish_per_audience(
        &self,
        topics: &[Topic],
        make: impl Fn(&[usize]) -> Event,
    ) -> usize {
        let mut registry = self.registry();
        let mut delivered = 0;
        for (matched, sessions) in registry.groups(topics) {
            let event = make(&matched).published_now();
            self.metrics.published(&event);
            delivered += self.dispatch(registry.deliver_to(&sessions, &Arc::new(event)));
        }
        if delivered > 0 {
            // At debug level, because there may be thousands per second.
            tracing::debug!(topics = %super::Topics(topics), sessions = delivered, "state published");
        }
        delivered
    }

    /// Requests a snapshot for every session that is subscribed to one of the topics.
    pub fn request_snapshot(&self, topics: &[Topic]) {
        for (_, sessions) in self.registry().groups(topics) {
            let receives_states = |session: &&Arc<Session>| {
                EventType::ENTITY_STATES.is_delivered_in(session.namespace())
            };
            for session in sessions.iter().filter(receives_states) {
                session.outbox().request_snapshot();
            }
        }
    }

    /// Makes every session with a pending snapshot check whether it can be sent now.
    pub fn retry_snapshots(&self) {
        for session in self.registry().subscribers(&Topic::All) {
            session.outbox().retry_snapshot();
        }
    }

    /// The areas to whose topics a connected principal is subscribed.
    pub fn areas_of(&self, subject: &Subject) -> Vec<AreaId> {
        self.registry().areas_of(subject)
    }
}

impl Registry {
    fn groups(&self, topics: &[Topic]) -> Vec<Group> {
        let matches = topics.iter().enumerate().flat_map(|(index, topic)| {
            let sessions = self.subscribers(topic);
            sessions.map(move |session| (session, index))
        });
        let mut matches: Vec<_> = matches.collect();
        // The sessions of each topic are sorted, so this costs nothing for a single topic.
        matches.sort_by_key(|(session, _)| session.number());
        let mut groups: HashMap<Vec<usize>, Vec<Arc<Session>>> = HashMap::new();
        let mut indexes = Vec::new();
        for session_matches in matches.chunk_by(|(one, _), (next, _)| one.number() == next.number())
        {
            let Some((session, _)) = session_matches.first() else {
                continue;
            };
            indexes.clear();
            indexes.extend(session_matches.iter().map(|(_, index)| *index));
            match groups.get_mut(indexes.as_slice()) {
                Some(group) => group.push(Arc::clone(session)),
                None => drop(groups.insert(indexes.clone(), vec![Arc::clone(session)])),
            }
        }
        groups.into_iter().collect()
    }
}
