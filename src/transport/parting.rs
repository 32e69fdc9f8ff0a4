//! How sessions and connections end: by an order of the hub, by a deadline, or with the daemon.

use std::time::Duration;

use serde_json::json;
use tokio::time::Instant;

use super::codec::{self, Codec};
use super::connection::Connection;
use super::slot::Slot;
use crate::event::{Kind, Namespace};
use crate::hub::Ending;
use crate::protocol::{Event as CarrierEvent, socketio};

/// A peer that takes nothing for this long is closed (contract 4.6).
const STALL: Duration = Duration::from_secs(10);
/// How long a stopping daemon waits for a peer to take its last words.
const FAREWELL: Duration = Duration::from_millis(1500);
/// How far reconnecting tablets are spread after a stop.
const RECONNECT_MS: std::ops::Range<u32> = 500..5000;

/// How a connection ends.
#[derive(Debug)]
pub(super) enum Parting {
    /// What is queued is written, then it is closed as the dialect closes.
    End(Ending),
    /// The same, because the peer broke the protocol.
    Break { code: u16, reason: &'static str },
    /// It is dropped as it is: something is stuck half-way, or the peer is gone.
    Drop,
}

impl From<Ending> for Parting {
    fn from(ending: Ending) -> Self {
        Self::End(ending)
    }
}

impl Connection {
    /// Ends what the hub has ended: nothing that was queued goes out, the last words do.
    pub(super) fn end_sessions(&mut self) -> Result<(), Parting> {
        let (ended, going_on): (Vec<_>, Vec<_>) = {
            // Sessions that end together are seen to end together.
            let _desk = self.gate.enter();
            if !self.slots.iter().any(Slot::has_ended) {
                return Ok(());
            }
            self.slots.drain(..).partition(Slot::has_ended)
        };
        self.slots = going_on;
        let mut orders = Vec::new();
        for slot in ended {
            if let Some((ending, last_words)) = slot.ending() {
                orders.push((slot.namespace, ending, last_words));
            }
            slot.leave(&self.app);
        }
        if !self.desk().carrier.discard_unsent() {
            return Err(Parting::Drop);
        }
        // What was dropped may have been for the connection's other sessions: they come back, and
        // get it again.
        let mut parting = Ending::TryAgain.into();
        for (namespace, ending, last_words) in orders {
            if let Some(event) = last_words {
                self.send_event(namespace, &event);
            }
            if let Err(last) = self.part(namespace, ending) {
                parting = last;
            }
        }
        Err(parting)
    }

    /// Says good-bye in a namespace as the dialect has it (contract 4.1): stock Socket.IO clients
    /// come back after a bare close, and stay away after DISCONNECT. Other namespaces of the
    /// connection go on.
    pub(super) fn part(&mut self, namespace: Namespace, ending: Ending) -> Result<(), Parting> {
        if let (Codec::SocketIo(_), true) = (&self.codec, ending.is_final()) {
            self.tell_error(namespace, ending.word(), ending.message());
            let goodbye = socketio::disconnect(namespace.path());
            self.send(goodbye);
            if !self.slots.is_empty() {
                return Ok(());
            }
        }
        Err(ending.into())
    }

    /// The daemon stops: what waits is told, then that, then the close (contract section 9).
    pub(super) async fn farewell(&mut self) -> Parting {
        let [a, b, c, d] = crate::random::bytes::<4>();
        let spread = RECONNECT_MS.end - RECONNECT_MS.start;
        let after = RECONNECT_MS.start + u32::from_le_bytes([a, b, c, d]) % spread;
        let data = json!({ "reconnectAfterMs": after });
        for index in 0..self.slots.len() {
            let Some(slot) = self.slots.get_mut(index).filter(|slot| slot.is_live()) else {
                continue;
            };
            let namespace = slot.namespace;
            {
                // At the gate, so that nobody hands on what comes after these before them.
                let mut desk = self.gate.enter();
                for event in slot.drain(usize::MAX) {
                    let frame = codec::frame(self.codec.dialect(), namespace, &event);
                    desk.carrier.send(frame);
                }
            }
            self.tell(namespace, &Kind::SERVER_SHUTDOWN, &data);
            if let Some(frame) = self.codec.pace(after) {
                self.send(frame);
            }
        }
        // Written under the gate, so that a revocation still comes in between.
        let written = async {
            while !self.can_send() {
                match self.next_event().await {
                    Some(CarrierEvent::Closed(_)) | None => break,
                    Some(_) => {}
                }
            }
        };
        // A peer that takes nothing meanwhile gets the bare close.
        let is_written = tokio::time::timeout(FAREWELL, written).await.is_ok();
        match self.settle() {
            Err(parting) => parting,
            Ok(()) if is_written => Ending::Shutdown.into(),
            Ok(()) => {
                self.desk().carrier.discard_unsent();
                Ending::Shutdown.into()
            }
        }
    }

    /// When something is to be looked at again, if ever.
    pub(super) fn next_deadline(&mut self) -> Option<Instant> {
        let auth_timeout = self.app.config.auth_timeout;
        let empty = self
            .slots
            .is_empty()
            .then(|| self.unproven_since + auth_timeout);
        let stall = self.stalls_at();
        let slots = self
            .slots
            .iter_mut()
            .filter_map(|slot| slot.deadline(auth_timeout));
        empty.into_iter().chain(stall).chain(slots).min()
    }

    /// When the peer has taken nothing for too long, as far as something waits for it.
    fn stalls_at(&self) -> Option<Instant> {
        let (since, taken) = (self.waiting_since?, self.desk().carrier.last_taken()?);
        Some(since.max(taken) + STALL)
    }

    pub(super) fn on_deadline(&mut self) -> Result<(), Parting> {
        let now = Instant::now();
        let auth_timeout = self.app.config.auth_timeout;
        self.slots.iter_mut().for_each(Slot::look_again);
        if self.stalls_at().is_some_and(|at| now >= at) {
            tracing::info!(from = %self.peer.shown(), "the peer took nothing for ten seconds");
            self.desk().carrier.discard_unsent();
            return Err(Ending::Stalled.into());
        }
        if let Some(slot) = self.slots.iter().find(|slot| slot.has_expired()) {
            slot.expire();
        }
        if let Some(late) = self
            .slots
            .iter()
            .position(|slot| slot.is_overdue(auth_timeout))
        {
            let namespace = self.slots.remove(late).namespace;
            return self.part(namespace, Ending::AuthTimeout);
        }
        if self.slots.is_empty() && now >= self.unproven_since + auth_timeout {
            return Err(Ending::AuthTimeout.into());
        }
        Ok(())
    }
}
