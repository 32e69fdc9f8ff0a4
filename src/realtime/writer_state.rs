//! The state behind a connection's [`ConnectionWriter`](wallcast_core::hub::ConnectionWriter): its transport and
//! the deliveries in flight. The connection's task and the hub's dispatcher lock it in turn to write events.

use std::collections::VecDeque;
use std::sync::Arc;

use wallcast_core::event::Event;
use wallcast_core::hub::{EventWriter, Hub, Session};

use super::codec;
use super::delivery_metrics::{self, InFlightDeliveries};
use super::transport::Transport;

/// Most events in one write. The next ones are queued on the transport once these are written.
pub(super) const BATCH: usize = 64;

pub(super) struct WriterState {
    pub(super) transport: Transport,
    pub(super) in_flight: InFlightDeliveries,
    hub: Arc<Hub>,
    /// The queue was dropped because the connection closes; no further event may be written.
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

    /// Drops queued frames because the connection is about to close. False when a frame is stuck half-written.
    pub(super) fn discard_queue(&mut self) -> bool {
        self.is_discarded = true;
        self.transport.discard_unsent()
    }

    /// Writes a session's events as far as the kernel takes them without waiting. True when it took all.
    pub(super) fn write(&mut self, session: &Session, events: &VecDeque<Arc<Event>>) -> bool {
        let (dialect, namespace) = (session.dialect(), session.namespace());
        for event in events {
            self.transport.send(codec::frame(dialect, namespace, event));
        }
        delivery_metrics::count_sent(&self.hub, Some(session), events.len());
        if self.transport.flush_now() {
            self.on_flushed();
            delivery_metrics::record_delivered(&self.hub, events);
            return true;
        }
        self.in_flight.add(events);
        false
    }

    /// Records that everything queued on the transport was written.
    pub(super) fn on_flushed(&mut self) {
        self.in_flight.on_flushed(&self.hub);
    }
}

/// Called by the hub's dispatcher, so that an event for an idle session needs no wake-up of the task.
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
