//! The one loop of a connection: it reads commands, drains the outboxes of its sessions, keeps the
//! deadlines and ends what must end.
//!
//! JSON WebSocket has one session from the start; Socket.IO one for each namespace that was
//! entered.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use serde_json::json;
use tokio::time::Instant;

use super::carrier::Carrier;
use super::codec::{Codec, Inbound};
use super::entry::{Newcomer, Proof};
use super::rate::Rate;
use super::slot::{Slot, SlotState};
use super::{SocketPermit, slot};
use crate::app::App;
use crate::auth::Credential;
use crate::event::{Kind, Namespace};
use crate::hub::{Dialect, Drained, Ending, Signal};
use crate::ids::ConnectionId;
use crate::protocol::{Event as CarrierEvent, Frame};
use crate::server::{Peer, Progress};
use crate::shutdown::Busy;

/// Events that are handed to the carrier at once.
pub(super) const BATCH: usize = 64;
/// A peer that takes nothing for this long is closed (contract 4.6).
const STALL: Duration = Duration::from_secs(10);
/// How far reconnecting tablets are spread after a stop.
const RECONNECT_MS: std::ops::Range<u32> = 500..5000;

/// What the handshake brought.
#[derive(Debug)]
pub(super) struct Handshake {
    pub(super) credential: Option<Credential>,
    pub(super) local_admin: Option<String>,
    /// The namespace of a JSON WebSocket's path.
    pub(super) namespace: Namespace,
}

impl Handshake {
    pub(super) fn proof(&self) -> Option<Proof> {
        match (&self.local_admin, &self.credential) {
            (Some(id), _) => Some(Proof::LocalAdmin(id.clone())),
            (None, Some(credential)) => Some(Proof::Credential(credential.clone())),
            (None, None) => None,
        }
    }
}

/// How a connection ends.
#[derive(Debug)]
pub(super) enum Parting {
    /// What is queued is written, then it is closed.
    Close { code: u16, reason: &'static str },
    /// It is dropped as it is: something is stuck half-way, or the peer is gone.
    Drop,
}

impl From<Ending> for Parting {
    fn from(ending: Ending) -> Self {
        Self::Close {
            code: ending.code(),
            reason: ending.word(),
        }
    }
}

/// An open connection and its sessions.
pub(super) struct Connection {
    pub(super) app: Arc<App>,
    pub(super) carrier: Carrier,
    pub(super) codec: Codec,
    pub(super) peer: Peer,
    pub(super) handshake: Handshake,
    pub(super) slots: Vec<Slot>,
    pub(super) signal: Arc<Signal>,
    pub(super) permit: SocketPermit,
    /// Since when it has no session at all.
    empty_since: Instant,
    progress: Progress,
    /// Since when something waits to be written, and how much had been written then.
    waiting: Option<(Instant, u64)>,
    rate: Rate,
    _busy: Busy,
}

impl Connection {
    pub(super) fn new(
        app: Arc<App>,
        carrier: Carrier,
        codec: Codec,
        peer: Peer,
        progress: Progress,
        handshake: Handshake,
        permit: SocketPermit,
    ) -> Self {
        Self {
            rate: Rate::new(app.config.messages_per_second),
            _busy: app.shutdown.busy(),
            app,
            carrier,
            codec,
            peer,
            handshake,
            slots: Vec::new(),
            signal: Arc::default(),
            permit,
            empty_since: Instant::now(),
            progress,
            waiting: None,
        }
    }

    /// Serves until the connection ends.
    pub(super) async fn run(mut self) {
        self.carrier.set_max_message(slot::MAX_UNPROVEN_MESSAGE);
        let opened = match self.codec {
            Codec::Json => self.open_json().await,
            Codec::SocketIo(_) => Ok(()),
        };
        let parting = match opened {
            Ok(()) => self.serve().await,
            Err(parting) => parting,
        };
        for slot in self.slots.drain(..) {
            slot.leave(&self.app.hub);
        }
        tracing::info!(from = %self.peer.shown(), ?parting, "disconnected");
        if let Parting::Close { code, reason } = parting {
            self.carrier.close(code, reason).await;
        }
    }

    async fn serve(&mut self) -> Parting {
        let app = self.app.clone();
        loop {
            if let Err(parting) = self.settle() {
                return parting;
            }
            if let Err(parting) = self.catch_up().await {
                return parting;
            }
            let deadline = self.next_deadline();
            let signal = self.signal.clone();
            // The ends come first: a peer that never pauses may not put them off.
            let heard = tokio::select! {
                biased;
                () = app.shutdown.begun() => return self.farewell(),
                () = tokio::time::sleep_until(deadline) => {
                    match self.on_deadline() {
                        Ok(()) => None,
                        Err(parting) => return parting,
                    }
                }
                event = self.next_event() => event,
                () = signal.woken() => None,
            };
            let after = match heard {
                Some(CarrierEvent::Message(frame)) => self.receive(frame).await,
                Some(CarrierEvent::Closed(why)) => {
                    tracing::debug!(?why, "the carrier closed");
                    return Parting::Drop;
                }
                Some(CarrierEvent::Flushed) | None => Ok(()),
            };
            if let Err(parting) = after {
                return parting;
            }
        }
    }

    /// The carrier's next event. Bytes are handed to the kernel only under the signal's gate and
    /// only while no session is to be ended: that is the barrier of contract 6.2.
    async fn next_event(&mut self) -> Option<CarrierEvent> {
        let Self {
            carrier,
            slots,
            signal,
            ..
        } = self;
        poll_fn(|cx| {
            let _gate = signal.gate();
            if slots.iter().any(Slot::has_ended) {
                return Poll::Ready(None);
            }
            carrier.poll_event(cx).map(Some)
        })
        .await
    }

    /// Ends what must end and hands on what waits, as far as the carrier takes it.
    fn settle(&mut self) -> Result<(), Parting> {
        for index in (0..self.slots.len()).rev() {
            let drained = match self.slots.get(index) {
                Some(slot) if slot.has_ended() => slot.drain(0),
                _ => continue,
            };
            if let Some(Drained::Ended(ending, last_words)) = drained {
                self.end(index, ending, last_words.as_deref())?;
            }
        }
        if self.carrier.can_send() {
            for slot in &mut self.slots {
                match slot.drain(BATCH) {
                    Some(Drained::Events(events)) => {
                        for event in events {
                            self.carrier.send(self.codec.event(slot.namespace, &event));
                        }
                    }
                    Some(Drained::Missed(first)) => slot.fall_behind(first),
                    // An end that came just now is seen to at the next turn: its signal is set.
                    Some(Drained::Ended(..)) | None => {}
                }
            }
        }
        self.waiting = match (self.carrier.can_send(), self.waiting) {
            (true, _) => None,
            (false, None) => Some((Instant::now(), self.progress.bytes())),
            (false, waiting) => waiting,
        };
        Ok(())
    }

    /// Ends one session: nothing that was queued for it goes out, its last words do.
    fn end(
        &mut self,
        index: usize,
        ending: Ending,
        last_words: Option<&crate::event::Event>,
    ) -> Result<(), Parting> {
        let slot = self.slots.remove(index);
        let namespace = slot.namespace;
        slot.leave(&self.app.hub);
        if !self.carrier.discard_unsent() {
            return Err(Parting::Drop);
        }
        if let Some(event) = last_words {
            self.carrier.send(self.codec.event(namespace, event));
        }
        self.part(namespace, ending)?;
        // What was dropped may have been for the connection's other sessions: they come back, and
        // get it again.
        Err(Ending::TryAgain.into())
    }

    /// Says good-bye in a namespace as the dialect has it (contract 4.1): stock Socket.IO clients
    /// come back after a bare close, and stay away after DISCONNECT. Other namespaces of the
    /// connection go on.
    pub(super) fn part(&mut self, namespace: Namespace, ending: Ending) -> Result<(), Parting> {
        if let (Codec::SocketIo(_), true) = (&self.codec, ending.is_final()) {
            self.tell_error(namespace, ending.word(), ending.message());
            let goodbye = crate::protocol::socketio::disconnect(namespace.path());
            self.carrier.send(goodbye);
            if !self.slots.is_empty() {
                return Ok(());
            }
        }
        Err(ending.into())
    }

    /// `error` as every dialect has it (contract 4.2).
    pub(super) fn tell_error(&mut self, namespace: Namespace, code: &str, message: &str) {
        let data = slot::failure(code, message);
        self.tell(namespace, &Kind::ERROR, &data);
    }

    /// A message for one session alone.
    pub(super) fn tell(&mut self, namespace: Namespace, kind: &Kind, data: &serde_json::Value) {
        self.carrier.send(self.codec.direct(namespace, kind, data));
    }

    fn next_deadline(&self) -> Instant {
        let auth_timeout = self.app.config.auth_timeout;
        let empty = self
            .slots
            .is_empty()
            .then(|| self.empty_since + auth_timeout);
        let stalled = self
            .waiting
            .filter(|_| self.carrier.can_stall())
            .map(|(since, _)| since + STALL);
        let slots = self
            .slots
            .iter()
            .filter_map(|slot| slot.deadline(auth_timeout));
        let far = || Instant::now() + Duration::from_secs(3600);
        empty
            .into_iter()
            .chain(stalled)
            .chain(slots)
            .min()
            .unwrap_or_else(far)
    }

    fn on_deadline(&mut self) -> Result<(), Parting> {
        let now = Instant::now();
        let auth_timeout = self.app.config.auth_timeout;
        if let Some((since, written)) = self.waiting
            && self.carrier.can_stall()
            && now >= since + STALL
        {
            let progress = self.progress.bytes();
            if progress == written {
                tracing::info!(from = %self.peer.shown(), "the peer took nothing for ten seconds");
                self.carrier.discard_unsent();
                return Err(Ending::Stalled.into());
            }
            self.waiting = Some((now, progress));
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
        if self.slots.is_empty() && now >= self.empty_since + auth_timeout {
            return Err(Ending::AuthTimeout.into());
        }
        Ok(())
    }

    async fn receive(&mut self, frame: Frame) -> Result<(), Parting> {
        match self.codec.decode(frame) {
            Inbound::Connect { namespace, auth } => {
                self.connect(&namespace, auth.as_deref()).await;
                Ok(())
            }
            Inbound::Disconnect { namespace } => {
                if let Some(index) = self.find(&namespace) {
                    self.slots.remove(index).leave(&self.app.hub);
                    self.empty_since = Instant::now();
                }
                Ok(())
            }
            Inbound::Message(message) => {
                let Some(index) = self.addressed(message.namespace.as_deref()) else {
                    return Ok(());
                };
                if self.rate.allows(Instant::now()) {
                    self.act(index, message).await
                } else {
                    self.refuse_rate(index, message.request);
                    Ok(())
                }
            }
            Inbound::Unreadable(what) => {
                let Some(index) = self.addressed(what.namespace.as_deref()) else {
                    return Ok(());
                };
                if self.rate.allows(Instant::now()) {
                    self.refuse_form(index, what);
                } else {
                    self.refuse_rate(index, what.request);
                }
                Ok(())
            }
            Inbound::Nothing => Ok(()),
            Inbound::Broken { code, reason } => Err(Parting::Close { code, reason }),
        }
    }

    /// The session that a message is for; none if its namespace was left or never entered.
    fn addressed(&self, namespace: Option<&str>) -> Option<usize> {
        match namespace {
            Some(namespace) => self.find(namespace),
            None => (!self.slots.is_empty()).then_some(0),
        }
    }

    fn find(&self, namespace: &str) -> Option<usize> {
        self.slots
            .iter()
            .position(|slot| slot.namespace.path() == namespace)
    }

    /// A place for a session in a namespace, before it is proven.
    pub(super) fn newcomer(&self, id: &ConnectionId, namespace: Namespace) -> Newcomer {
        let dialect = match self.codec {
            Codec::Json => Dialect::Json,
            Codec::SocketIo(_) => Dialect::SocketIo,
        };
        Newcomer {
            id: id.clone(),
            namespace,
            dialect,
            address: self.peer.address,
            signal: self.signal.clone(),
        }
    }

    /// The daemon stops: what waits is told, then that, then the close (contract section 9).
    fn farewell(&mut self) -> Parting {
        let [a, b, c, d] = crate::random::bytes::<4>();
        let spread = RECONNECT_MS.end - RECONNECT_MS.start;
        let after = RECONNECT_MS.start + u32::from_le_bytes([a, b, c, d]) % spread;
        let data = json!({ "reconnectAfterMs": after });
        let namespaces: Vec<_> = self.slots.iter().map(|slot| slot.namespace).collect();
        for (index, namespace) in namespaces.into_iter().enumerate() {
            if let Some(Drained::Events(events)) = self
                .slots
                .get(index)
                .and_then(|slot| slot.drain(usize::MAX))
            {
                for event in events {
                    self.carrier.send(self.codec.event(namespace, &event));
                }
            }
            self.tell(namespace, &Kind::SERVER_SHUTDOWN, &data);
        }
        Ending::Shutdown.into()
    }
}

impl Slot {
    fn has_ended(&self) -> bool {
        matches!(&self.state, SlotState::Live(session) if session.outbox().has_ended())
    }
}
