//! What a connection writes to, behind its gate: its task and the hub's courier take turns there.

use std::collections::VecDeque;
use std::sync::Arc;

use super::carrier::Carrier;
use super::codec;
use super::connection::BATCH;
use super::ledger::{self, Ledger};
use crate::event::Event;
use crate::hub::{Hub, Session, Wire};

/// The carrier of a connection, and what was handed to it.
pub(super) struct Desk {
    pub(super) carrier: Carrier,
    pub(super) ledger: Ledger,
    hub: Arc<Hub>,
}

impl Desk {
    pub(super) fn new(carrier: Carrier, hub: Arc<Hub>) -> Self {
        Self {
            carrier,
            ledger: Ledger::default(),
            hub,
        }
    }

    /// Hands events for a session to the kernel, as far as it takes them at once: true if it took all.
    pub(super) fn tell(&mut self, session: &Session, events: &VecDeque<Arc<Event>>) -> bool {
        let (dialect, namespace) = (session.dialect(), session.namespace());
        for event in events {
            self.carrier.send(codec::frame(dialect, namespace, event));
        }
        ledger::count_sent(&self.hub, Some(session), events.len());
        if self.carrier.flush_now() {
            self.flushed();
            ledger::delivered(&self.hub, events);
            return true;
        }
        self.ledger.expect(events);
        false
    }

    /// All that was handed to the carrier is with the kernel.
    pub(super) fn flushed(&mut self) {
        self.ledger.flushed(&self.hub);
    }
}

impl Wire for Desk {
    fn deliver(&mut self, session: &Session) -> bool {
        if !self.carrier.can_send() {
            return false;
        }
        let Some(events) = session.outbox().take_open(BATCH) else {
            return false;
        };
        (events.is_empty() || self.tell(session, &events)) && !session.outbox().has_more()
    }

    fn cut(&mut self) {
        self.carrier.cut();
    }
}
