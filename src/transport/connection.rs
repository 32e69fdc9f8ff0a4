//! The one loop of a connection: it reads commands, drains the outboxes of its sessions where the
//! courier cannot, keeps the deadlines and ends what must end.
//!
//! JSON WebSocket and server-sent events have one session from the start; Socket.IO one for each
//! namespace that was entered.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::{Arc, MutexGuard};
use std::task::Poll;
use std::time::Duration;

use serde::Serialize;
use tokio::time::{Instant, sleep};

use super::carrier::Carrier;
use super::codec::{self, Codec, Inbound};
use super::desk::Desk;
use super::entities::Calls;
use super::entry::{Newcomer, Proof};
use super::ledger;
use super::parting::Parting;
use super::position::{Asked, Past};
use super::rate::Rate;
use super::slot::Slot;
use super::{SocketPermit, answer};
use crate::app::App;
use crate::auth::Credential;
use crate::event::{Event, Kind, Namespace};
use crate::hub::Gate;
use crate::ids::ConnectionId;
use crate::protocol::{Event as CarrierEvent, Frame};
use crate::server::Peer;
use crate::shutdown::Busy;

/// Events that are handed to the carrier at once.
pub(super) const BATCH: usize = 64;

/// When a connection without any deadline is looked at all the same.
const IDLE: Duration = Duration::from_secs(3600);

/// What the handshake brought.
#[derive(Debug)]
pub(super) struct Handshake {
    pub(super) credential: Option<Credential>,
    pub(super) local_admin: Option<String>,
    /// The namespace of a JSON WebSocket's path.
    pub(super) namespace: Namespace,
    /// Where it asks to go on from.
    pub(super) position: Option<Asked>,
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

/// An open connection and its sessions.
pub(super) struct Connection {
    pub(super) app: Arc<App>,
    pub(super) gate: Arc<Gate<Desk>>,
    pub(super) codec: Codec,
    pub(super) peer: Peer,
    pub(super) handshake: Handshake,
    pub(super) slots: Vec<Slot>,
    pub(super) permit: SocketPermit,
    /// Tokens that were refused on it.
    pub(super) refusals: usize,
    /// Since when nobody on it is proven. Entering and leaving namespaces does not put it off.
    pub(super) unproven_since: Instant,
    /// Since when something waits to be written.
    pub(super) waiting_since: Option<Instant>,
    pub(super) rate: Rate,
    pub(super) calls: Calls,
    /// When its sessions last learned that the peer said something.
    heard_at: Instant,
    _busy: Busy,
}

impl Connection {
    pub(super) fn new(
        app: Arc<App>,
        carrier: Carrier,
        codec: Codec,
        peer: Peer,
        handshake: Handshake,
        permit: SocketPermit,
    ) -> Self {
        let gate = Arc::new(Gate::new(Desk::new(carrier, app.hub.clone())));
        Self {
            rate: Rate::new(app.config.messages_per_second),
            _busy: app.shutdown.busy(),
            app,
            gate,
            codec,
            peer,
            handshake,
            // Most connections have one session.
            slots: Vec::with_capacity(1),
            permit,
            refusals: 0,
            unproven_since: Instant::now(),
            waiting_since: None,
            calls: Calls::default(),
            heard_at: Instant::now(),
        }
    }

    /// Has it carried by this from now on; one that enters before it is answered has none at first.
    pub(super) fn carry(&mut self, carrier: Carrier) {
        self.desk().carrier = carrier;
    }

    /// Serves until the connection ends.
    ///
    /// As an `async fn` it would hold the connection twice, as its argument and as its variable.
    #[allow(clippy::manual_async_fn, reason = "half as large as an async fn")]
    pub(super) fn run(mut self) -> impl Future<Output = ()> + Send {
        async move {
            let parting = self.serve().await;
            self.leave_all();
            tracing::info!(from = %self.peer.shown(), ?parting, "disconnected");
            let mut carrier = self.desk().carrier.take();
            // Boxed, as is all that is done now and then: a task is as large as the largest thing it
            // may ever do, and thousands of them do nothing.
            match parting {
                Parting::End(ending) => {
                    for frame in self.codec.goodbye(ending) {
                        carrier.send(frame);
                    }
                    Box::pin(carrier.close(ending.code(), ending.word())).await;
                }
                Parting::Break { code, reason } => Box::pin(carrier.close(code, reason)).await,
                Parting::Drop => {}
            }
        }
    }

    fn leave_all(&mut self) {
        for slot in self.slots.drain(..) {
            slot.leave(&self.app);
        }
    }

    async fn serve(&mut self) -> Parting {
        let (app, gate) = (self.app.clone(), self.gate.clone());
        let mut stopping = pin!(app.shutdown.begun());
        let mut alarm = pin!(sleep(IDLE));
        loop {
            if let Err(parting) = self.settle() {
                return parting;
            }
            if let Err(parting) = self.catch_up().await {
                return parting;
            }
            if let Err(parting) = self.act_on_post().await {
                return parting;
            }
            self.answer_calls();
            // One that moved away is looked at when the old one comes: that is cheaper than to set
            // the alarm at each turn.
            match self.next_deadline() {
                deadline if alarm.is_elapsed() => {
                    let far = || Instant::now() + IDLE;
                    alarm.as_mut().reset(deadline.unwrap_or_else(far));
                }
                Some(deadline) if deadline < alarm.deadline() => alarm.as_mut().reset(deadline),
                _ => {}
            }
            let is_idle = self.can_send();
            // The ends come first: a peer that never pauses may not put them off. What is queued
            // comes before the carrier only while the carrier has nothing left to write.
            let heard = tokio::select! {
                biased;
                () = stopping.as_mut() => return self.farewell().await,
                () = alarm.as_mut() => {
                    match self.on_deadline() {
                        Ok(()) => None,
                        Err(parting) => return parting,
                    }
                }
                () = gate.woken(), if is_idle => None,
                event = self.next_event() => event,
                () = gate.woken(), if !is_idle => None,
            };
            let after = match heard {
                Some(CarrierEvent::Message(frame)) => {
                    // An answer does not overtake what was told before its question came.
                    match self.settle() {
                        Ok(()) => self.receive(frame).await,
                        Err(parting) => Err(parting),
                    }
                }
                Some(CarrierEvent::Closed(why)) => {
                    tracing::debug!(?why, "the carrier closed");
                    return Parting::Drop;
                }
                Some(CarrierEvent::Flushed) => {
                    self.desk().flushed();
                    Ok(())
                }
                None => Ok(()),
            };
            if let Err(parting) = after {
                return parting;
            }
        }
    }

    /// The carrier's next event. Nothing is written once a session is to be ended: that is the
    /// barrier of contract 6.2.
    pub(super) async fn next_event(&mut self) -> Option<CarrierEvent> {
        let Self {
            gate,
            slots,
            heard_at,
            ..
        } = self;
        poll_fn(|cx| {
            let mut desk = gate.enter();
            if slots.iter().any(Slot::has_ended) {
                return Poll::Ready(None);
            }
            let is_behind = slots.iter().any(Slot::is_behind);
            let event = desk.carrier.poll_event(is_behind, cx);
            if let Some(at) = desk.carrier.heard_at().filter(|at| at > heard_at) {
                *heard_at = at;
                ledger::note_heard(slots);
            }
            event.map(Some)
        })
        .await
    }

    /// Ends what must end and hands on what waits, to the kernel itself as far as it takes it: what
    /// is told to an idle peer takes one turn of the loop.
    pub(super) fn settle(&mut self) -> Result<(), Parting> {
        if self.hand_on() {
            return Ok(());
        }
        self.end_sessions()
    }

    /// Hands on what waits, unless a session is to be ended: then it is false.
    fn hand_on(&mut self) -> bool {
        if self.can_send() {
            for slot in &self.slots {
                slot.prepare_states(&self.app);
            }
        }
        let mut desk = self.gate.enter();
        if self.slots.iter().any(Slot::has_ended) {
            return false;
        }
        if desk.carrier.can_send() {
            for feed in self.slots.iter_mut().filter_map(Slot::feed) {
                let events = feed.drain(BATCH);
                if !feed.is_behind() {
                    feed.session().outbox().open();
                }
                if events.is_empty() {
                    continue;
                }
                let is_told = desk.tell(feed.session(), &events);
                if is_told && feed.session().outbox().has_more() {
                    // Nothing is left that would tell of having been flushed, and so bring a turn.
                    self.gate.wake();
                }
            }
        }
        self.waiting_since = match desk.carrier.can_send() {
            true => None,
            false => self.waiting_since.or_else(|| Some(Instant::now())),
        };
        true
    }

    /// Goes to the gate. What is called meanwhile must not go there as well.
    pub(super) fn desk(&self) -> MutexGuard<'_, Desk> {
        self.gate.enter()
    }

    /// Whether all that was handed to the carrier is with the kernel.
    pub(super) fn can_send(&self) -> bool {
        self.desk().carrier.can_send()
    }

    /// Queues a frame.
    pub(super) fn send(&self, frame: Frame) {
        self.desk().carrier.send(frame);
    }

    /// Queues an event for the session in a namespace.
    pub(super) fn send_event(&self, namespace: Namespace, event: &Event) {
        self.send(codec::frame(self.codec.dialect(), namespace, event));
    }

    /// `error` as every dialect has it (contract 4.2).
    pub(super) fn tell_error(&mut self, namespace: Namespace, code: &str, message: &str) {
        let data = answer::failure(code, message);
        self.tell(namespace, &Kind::ERROR, &data);
    }

    /// A message for one session alone.
    pub(super) fn tell(&mut self, namespace: Namespace, kind: &Kind, data: &impl Serialize) {
        self.send(self.codec.direct(namespace, kind, data));
        self.count_told(namespace);
    }

    async fn receive(&mut self, frame: Frame) -> Result<(), Parting> {
        match self.codec.decode(frame) {
            Inbound::Connect { namespace, auth } => {
                if self.rate.allows(Instant::now()) {
                    Box::pin(self.connect(&namespace, auth.as_deref())).await
                } else {
                    self.refuse_connect_rate(&namespace);
                    Ok(())
                }
            }
            Inbound::Disconnect { namespace } => {
                if let Some(index) = self.find(&namespace) {
                    self.leave(index);
                }
                Ok(())
            }
            Inbound::Message(message) => {
                let Some(index) = self.addressed(message.namespace.as_deref()) else {
                    return Ok(());
                };
                self.count_received(index);
                if self.rate.allows(Instant::now()) {
                    Box::pin(self.act(index, message)).await
                } else {
                    self.refuse_rate(index, message.request);
                    Ok(())
                }
            }
            Inbound::Unreadable(what) => {
                let Some(index) = self.addressed(what.namespace.as_deref()) else {
                    return Ok(());
                };
                self.count_received(index);
                if self.rate.allows(Instant::now()) {
                    self.refuse_form(index, what);
                } else {
                    self.refuse_rate(index, what.request);
                }
                Ok(())
            }
            Inbound::Nothing => Ok(()),
            Inbound::Broken { code, reason } => {
                self.desk().give_up();
                Err(Parting::Break { code, reason })
            }
        }
    }

    /// Takes a session out. Only one that was proven gives the connection new time to prove another.
    pub(super) fn leave(&mut self, index: usize) {
        let slot = self.slots.remove(index);
        if slot.is_live() && !self.is_proven() {
            self.unproven_since = Instant::now();
        }
        slot.leave(&self.app);
    }

    /// Whether any of its sessions has proven who it is.
    pub(super) fn is_proven(&self) -> bool {
        self.slots.iter().any(Slot::is_live)
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
    pub(super) fn newcomer(&self, id: &ConnectionId, namespace: Namespace, past: Past) -> Newcomer {
        Newcomer {
            id: id.clone(),
            namespace,
            dialect: self.codec.dialect(),
            address: self.peer.address,
            gate: self.gate.clone(),
            past,
        }
    }
}

impl Drop for Connection {
    /// One that was given up while it was opened, or whose task failed, has sessions still: what the hub
    /// knows of them would keep the socket open for good.
    fn drop(&mut self) {
        self.leave_all();
        drop(self.desk().carrier.take());
    }
}
