//! Counts and lists of sessions. They use the registry's indexes and never iterate over all sessions to find some.

use std::sync::Arc;

use super::latency::Percentiles;
use super::{Hub, Session, SessionNumber};
use crate::event::{EventType, Namespace, Topic};

/// The numbers of sessions by namespace, and the delivery latency.
#[derive(Clone, Copy, Debug)]
pub struct ConnectionStats {
    /// Authenticated sessions in all namespaces.
    pub total: usize,
    /// Sessions in `/ws/lockers`.
    pub lockers: usize,
    /// Sessions in `/ws/help`.
    pub help: usize,
    /// Sessions in `/ws/events`.
    pub events: usize,
    /// Latency of the recent deliveries.
    pub latency: Percentiles,
}

impl Hub {
    /// The current numbers of sessions and the delivery latency (`docs/protocol.md#statistics`).
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

    /// The number of sessions that are subscribed to a topic.
    pub fn subscriber_count(&self, topic: &Topic) -> usize {
        self.registry().subscriber_count(topic)
    }

    /// The number of sessions that an event of this type on these topics would reach. Costs as much as publishing it.
    pub fn recipient_count(&self, event_type: &EventType, topics: &[Topic]) -> usize {
        self.registry().recipient_count(event_type, topics)
    }

    /// At most `limit` sessions in the order of their registration, starting behind the session number `after`: those
    /// that are subscribed to `topic`, or all.
    pub fn page(
        &self,
        topic: Option<&Topic>,
        after: Option<SessionNumber>,
        limit: usize,
    ) -> Vec<Arc<Session>> {
        self.registry().page(topic, after, limit)
    }
}
