//! Counts what a connection's sessions send and receive, and measures the latency of deliveries. One addition for
//! each batch, one clock read for each batch that was written.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use wallcast_core::clock::Timestamp;
use wallcast_core::event::Event;
use wallcast_core::hub::{Hub, Session};

use super::namespace_session::NamespaceSession;

/// When the events were published that are queued on the transport and not written yet. Empty while idle; bounded,
/// because no batch is queued before the last one is written.
#[derive(Debug, Default)]
pub(super) struct InFlightDeliveries(Vec<Instant>);

impl InFlightDeliveries {
    /// Notes live events that were queued on the transport.
    pub(super) fn add(&mut self, events: &VecDeque<Arc<Event>>) {
        self.0.extend(publish_times(events));
    }

    /// Records the latency of all noted events: they were written, or fetched by a poll.
    pub(super) fn on_flushed(&mut self, hub: &Hub) {
        if !self.0.is_empty() {
            hub.metrics()
                .delivered(std::mem::take(&mut self.0).into_iter());
        }
    }
}

/// Records the latency of live events that were written at once.
pub(super) fn record_delivered(hub: &Hub, events: &VecDeque<Arc<Event>>) {
    hub.metrics().delivered(publish_times(events));
}

fn publish_times(events: &VecDeque<Arc<Event>>) -> impl Iterator<Item = Instant> {
    events.iter().filter_map(|event| event.published_at())
}

/// Counts messages that were queued on the transport for a session.
pub(super) fn count_sent(hub: &Hub, session: Option<&Session>, messages: usize) {
    let messages = u64::try_from(messages).unwrap_or(u64::MAX);
    hub.metrics().sent(messages);
    if let Some(session) = session {
        session.metrics().sent(messages);
    }
}

/// Records that the peer sent something; a pong counts.
pub(super) fn note_activity(sessions: &[NamespaceSession]) {
    let now = Timestamp::now();
    for session in sessions.iter().filter_map(NamespaceSession::live_session) {
        session.metrics().note_activity(now);
    }
}
