//! What a connection's sessions are sent and bring, counted: one addition for each batch of events,
//! one look at the clock for each that the kernel took whole.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use super::namespace_session::NamespaceSession;
use wallcast_core::clock::Timestamp;
use wallcast_core::event::Event;
use wallcast_core::hub::{Hub, Session};

/// Events that were handed to the transport and are not yet with the kernel, by when they were
/// published. Empty while idle; bounded, since nothing is handed on before all of it is flushed.
#[derive(Debug, Default)]
pub(super) struct InFlightDeliveries(Vec<Instant>);

impl InFlightDeliveries {
    /// These live events were handed to the transport and are not with the kernel yet.
    pub(super) fn expect(&mut self, events: &VecDeque<Arc<Event>>) {
        self.0.extend(published(events));
    }

    /// All that was handed to the transport is with the kernel, or with the client's poll.
    pub(super) fn flushed(&mut self, hub: &Hub) {
        if !self.0.is_empty() {
            hub.metrics()
                .delivered(std::mem::take(&mut self.0).into_iter());
        }
    }
}

/// These live events are with the kernel: nothing of them need be remembered.
pub(super) fn delivered(hub: &Hub, events: &VecDeque<Arc<Event>>) {
    hub.metrics().delivered(published(events));
}

fn published(events: &VecDeque<Arc<Event>>) -> impl Iterator<Item = Instant> {
    events.iter().filter_map(|event| event.published_at())
}

/// Messages were handed to the transport for a session.
pub(super) fn count_sent(hub: &Hub, session: Option<&Session>, messages: usize) {
    let messages = u64::try_from(messages).unwrap_or(u64::MAX);
    hub.metrics().sent(messages);
    if let Some(session) = session {
        session.metrics().sent(messages);
    }
}

/// The peer said something, if only that it is there.
pub(super) fn note_activity(sessions: &[NamespaceSession]) {
    let now = Timestamp::now();
    for session in sessions.iter().filter_map(NamespaceSession::session) {
        session.metrics().note_received(now);
    }
}
