//! Who is connected, counted and listed. Costs what is told: the indexes of the registry, never a
//! look at every session.

use std::sync::Arc;

use super::latency::Percentiles;
use super::{Hub, Session, SessionNumber};
use crate::event::{EventType, Namespace, Topic};

/// Seed 3's connection statistics.
#[derive(Clone, Copy, Debug)]
pub struct ConnectionStats {
    /// SessionSet, those of `/` included.
    pub total: usize,
    /// Sessions on `/ws/lockers`.
    pub lockers: usize,
    /// Sessions on `/ws/help`.
    pub help: usize,
    /// Sessions on `/ws/events`.
    pub events: usize,
    /// From commit to kernel.
    pub latency: Percentiles,
}

impl Hub {
    /// Seed 3's `getConnectionStats`.
    pub fn connection_stats(&self) -> ConnectionStats {
        let within = |namespace| self.subscriber_count(&Topic::Namespace(namespace));
        ConnectionStats {
            total: self.session_count(),
            lockers: within(Namespace::Lockers),
            help: within(Namespace::Help),
            events: within(Namespace::Events),
            latency: self.metrics().percentiles(),
        }
    }

    /// Sessions that listen on a topic.
    pub fn subscriber_count(&self, topic: &Topic) -> usize {
        self.registry().subscriber_count(topic)
    }

    /// Sessions that would be told an event of this type on these topics. Costs what telling it does.
    pub fn recipient_count(&self, event_type: &EventType, topics: &[Topic]) -> usize {
        self.registry().recipient_count(event_type, topics)
    }

    /// Sessions in the order in which they came, at most `limit`, those after `after`; those that
    /// listen on the topic, or all.
    pub fn page(
        &self,
        topic: Option<&Topic>,
        after: Option<SessionNumber>,
        limit: usize,
    ) -> Vec<Arc<Session>> {
        self.registry().page(topic, after, limit)
    }
}
