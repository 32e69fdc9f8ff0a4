//! What a connection's sessions are sent and bring, counted: one addition for each batch of events,
//! one look at the clock for each that the kernel took whole.

use std::sync::Arc;
use std::time::Instant;

use super::connection::Connection;
use super::slot::Slot;
use crate::clock::Timestamp;
use crate::event::{Event, Namespace};
use crate::hub::{Hub, Session};

/// Events that were handed to the carrier and are not yet with the kernel, by when they were
/// published. Empty while idle; bounded, since nothing is handed on before all of it is flushed.
#[derive(Debug, Default)]
pub(super) struct Ledger(Vec<Instant>);

impl Ledger {
    /// These live events were handed to the carrier for a session.
    pub(super) fn told(&mut self, hub: &Hub, session: Option<&Session>, events: &[Arc<Event>]) {
        if !events.is_empty() {
            count_sent(hub, session, events.len());
            let published = events.iter().filter_map(|event| event.published_at());
            self.0.extend(published);
        }
    }

    /// All that was handed to the carrier is with the kernel, or with the client's poll.
    pub(super) fn flushed(&mut self, hub: &Hub) {
        if !self.0.is_empty() {
            hub.traffic()
                .delivered(std::mem::take(&mut self.0).into_iter());
        }
    }
}

/// Messages were handed to the carrier for a session.
pub(super) fn count_sent(hub: &Hub, session: Option<&Session>, messages: usize) {
    let messages = u64::try_from(messages).unwrap_or(u64::MAX);
    hub.traffic().sent(messages);
    if let Some(session) = session {
        session.traffic().sent(messages);
    }
}

/// The peer said something, if only that it is there.
pub(super) fn note_heard(slots: &[Slot]) {
    let now = Timestamp::now();
    for session in slots.iter().filter_map(Slot::session) {
        session.traffic().heard(now);
    }
}

impl Connection {
    /// A message of its own was handed to the carrier for the session in a namespace.
    pub(super) fn count_told(&self, namespace: Namespace) {
        let slot = self.slots.iter().find(|slot| slot.namespace == namespace);
        let session = slot.and_then(|slot| slot.session());
        count_sent(&self.app.hub, session.map(Arc::as_ref), 1);
    }

    /// A session brought a message.
    pub(super) fn count_received(&self, index: usize) {
        let now = Timestamp::now();
        self.app.hub.traffic().received(now);
        if let Some(session) = self.slots.get(index).and_then(|slot| slot.session()) {
            session.traffic().received(now);
        }
    }
}
