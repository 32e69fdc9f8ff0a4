//! What a connection writes to, behind its writer: its task and the hub's courier take turns there.

use std::collections::VecDeque;
use std::sync::Arc;

use super::codec;
use super::delivery_metrics::{self, InFlightDeliveries};
use super::transport::Transport;
use wallcast_core::event::Event;
use wallcast_core::hub::{EventWriter, Hub, Session};

/// Events that are handed to the transport at once.
pub(super) const BATCH: usize = 64;

/// The transport of a connection, and what was handed to it.
pub(super) struct WriterState {
    pub(super) transport: Transport,
    pub(super) in_flight: InFlightDeliveries,
    hub: Arc<Hub>,
    /// What was queued is dropped: the connection ends, and nothing may follow in its place.
    is_discarded: bool,
}

impl WriterState {
    pub(super) fn new(transport: Transport, hub: Arc<Hub>) -> Self {
        Self {
            transport,
            in_flight: InFlightDeliveries::default(),
            hub,
            is_discarded: false,
        }
    }

    /// Drops what is queued and not begun, since the connection is about to end; false when something
    /// is stuck half-way.
    pub(super) fn discard_queue(&mut self) -> bool {
        self.is_discarded = true;
        self.transport.discard_unsent()
    }

    /// Hands events for a session to the kernel, as far as it takes them at once: true if it took all.
    pub(super) fn write(&mut self, session: &Session, events: &VecDeque<Arc<Event>>) -> bool {
        let (dialect, namespace) = (session.dialect(), session.namespace());
        for event in events {
            self.transport.send(codec::frame(dialect, namespace, event));
        }
        delivery_metrics::count_sent(&self.hub, Some(session), events.len());
        if self.transport.flush_now() {
            self.flushed();
            delivery_metrics::delivered(&self.hub, events);
            return true;
        }
        self.in_flight.expect(events);
        false
    }

    /// All that was handed to the transport is with the kernel.
    pub(super) fn flushed(&mut self) {
        self.in_flight.flushed(&self.hub);
    }
}

impl EventWriter for WriterState {
    fn write_events(&mut self, session: &Session) -> bool {
        if self.is_discarded || !self.transport.can_send() {
            return false;
        }
        let Some(events) = session.outbox().take_for_dispatch(BATCH) else {
            return false;
        };
        (events.is_empty() || self.write(session, &events)) && !session.outbox().has_more()
    }

    fn discard_pending(&mut self) {
        self.transport.discard_pending();
    }
}
