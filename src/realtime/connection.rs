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

use super::calls::Calls;
use super::close_action::CloseAction;
use super::codec::{self, Codec, Inbound};
use super::delivery_metrics;
use super::namespace_session::NamespaceSession;
use super::position::{ResumeHint, ResumeRequest};
use super::rate_limit::RateLimit;
use super::registration::{ConnectRequest, Proof};
use super::transport::Transport;
use super::writer_state::{BATCH, WriterState};
use crate::app::App;
use crate::authentication::Credential;
use crate::http::Peer;
use crate::net::SocketPermit;
use realtime_protocol::{Event as TransportEvent, Frame};
use wallcast_core::clock::Timestamp;
use wallcast_core::event::{Event, EventType, Namespace};
use wallcast_core::hub::ConnectionWriter;
use wallcast_core::ids::ConnectionId;
use wallcast_core::shutdown::WorkGuard;

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
    pub(super) position: Option<ResumeRequest>,
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
    pub(super) writer: Arc<ConnectionWriter<WriterState>>,
    pub(super) codec: Codec,
    pub(super) peer: Peer,
    pub(super) handshake: Handshake,
    pub(super) sessions: Vec<NamespaceSession>,
    pub(super) permit: SocketPermit,
    /// Tokens that were refused on it.
    pub(super) refusals: usize,
    /// Since when nobody on it is proven. Entering and leaving namespaces does not put it off.
    pub(super) unproven_since: Instant,
    /// Since when something waits to be written.
    pub(super) waiting_since: Option<Instant>,
    pub(super) rate: RateLimit,
    pub(super) calls: Calls,
    /// When its sessions last learned that the peer said something.
    last_received: Instant,
    _busy: WorkGuard,
}

impl Connection {
    pub(super) fn new(
        app: Arc<App>,
        transport: Transport,
        codec: Codec,
        peer: Peer,
        handshake: Handshake,
        permit: SocketPermit,
    ) -> Self {
        let writer = Arc::new(ConnectionWriter::new(WriterState::new(
            transport,
            app.hub.clone(),
        )));
        Self {
            rate: RateLimit::new(app.config.messages_per_second),
            _busy: app.shutdown.work_guard(),
            app,
            writer,
            codec,
            peer,
            handshake,
            // Most connections have one session.
            sessions: Vec::with_capacity(1),
            permit,
            refusals: 0,
            unproven_since: Instant::now(),
            waiting_since: None,
            calls: Calls::default(),
            last_received: Instant::now(),
        }
    }

    /// Has it carried by this from now on; one that enters before it is answered has none at first.
    pub(super) fn set_transport(&mut self, transport: Transport) {
        self.writer().transport = transport;
    }

    /// Serves until the connection ends.
    ///
    /// As an `async fn` it would hold the connection twice, as its argument and as its variable.
    #[allow(clippy::manual_async_fn, reason = "half as large as an async fn")]
    pub(super) fn run(mut self) -> impl Future<Output = ()> + Send {
        async move {
            let action = self.serve().await;
            self.leave_all();
            tracing::info!(from = %self.peer.shown(), ?action, "connection closed");
            let mut transport = self.writer().transport.take();
            // Boxed, as is all that is done now and then: a task is as large as the largest thing it
            // may ever do, and thousands of them do nothing.
            match action {
                CloseAction::End(reason) => {
                    for frame in self.codec.goodbye(reason) {
                        transport.send(frame);
                    }
                    Box::pin(transport.close(reason.code(), reason.as_str())).await;
                }
                CloseAction::Break { code, reason } => {
                    Box::pin(transport.close(code, reason)).await
                }
                CloseAction::Drop => {}
            }
        }
    }

    fn leave_all(&mut self) {
        for entry in self.sessions.drain(..) {
            entry.leave(&self.app);
        }
    }

    async fn serve(&mut self) -> CloseAction {
        let (app, writer) = (self.app.clone(), self.writer.clone());
        let mut stopping = pin!(app.shutdown.begun());
        let mut alarm = pin!(sleep(IDLE));
        loop {
            if let Err(action) = self.settle() {
                return action;
            }
            if let Err(action) = self.catch_up().await {
                return action;
            }
            if let Err(action) = self.act_on_post().await {
                return action;
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
            // comes before the transport only while the transport has nothing left to write.
            let heard = tokio::select! {
                biased;
                () = stopping.as_mut() => return self.shut_down().await,
                () = alarm.as_mut() => {
                    match self.on_deadline() {
                        Ok(()) => None,
                        Err(action) => return action,
                    }
                }
                () = writer.woken(), if is_idle => None,
                event = self.next_event() => event,
                () = writer.woken(), if !is_idle => None,
            };
            let after = match heard {
                Some(TransportEvent::Message(frame)) => {
                    // An answer does not overtake what was told before its question came.
                    match self.settle() {
                        Ok(()) => self.receive(frame).await,
                        Err(action) => Err(action),
                    }
                }
                Some(TransportEvent::Closed(why)) => {
                    tracing::debug!(?why, "the transport closed");
                    return CloseAction::Drop;
                }
                Some(TransportEvent::Flushed) => {
                    self.writer().flushed();
                    Ok(())
                }
                None => Ok(()),
            };
            if let Err(action) = after {
                return action;
            }
        }
    }

    /// The transport's next event. Nothing is written once a session is to be ended: that is the
    /// barrier of contract 6.2.
    pub(super) async fn next_event(&mut self) -> Option<TransportEvent> {
        let Self {
            writer,
            sessions,
            last_received,
            ..
        } = self;
        poll_fn(|cx| {
            let mut writer = writer.lock();
            if sessions.iter().any(NamespaceSession::has_ended) {
                return Poll::Ready(None);
            }
            let is_behind = sessions.iter().any(NamespaceSession::is_behind);
            let event = writer.transport.poll_event(is_behind, cx);
            if let Some(at) = writer
                .transport
                .last_received()
                .filter(|at| at > last_received)
            {
                *last_received = at;
                delivery_metrics::note_activity(sessions);
            }
            event.map(Some)
        })
        .await
    }

    /// Ends what must end and hands on what waits, to the kernel itself as far as it takes it: what
    /// is told to an idle peer takes one turn of the loop.
    pub(super) fn settle(&mut self) -> Result<(), CloseAction> {
        if self.hand_on() {
            return Ok(());
        }
        self.end_sessions()
    }

    /// Hands on what waits, unless a session is to be ended: then it is false.
    fn hand_on(&mut self) -> bool {
        if self.can_send() {
            for entry in &self.sessions {
                entry.prepare_states(&self.app);
            }
        }
        let mut writer = self.writer.lock();
        if self.sessions.iter().any(NamespaceSession::has_ended) {
            return false;
        }
        if writer.transport.can_send() {
            for subscription in self
                .sessions
                .iter_mut()
                .filter_map(NamespaceSession::subscription)
            {
                let events = subscription.drain(BATCH);
                if !subscription.is_behind() {
                    subscription.session().outbox().allow_dispatch();
                }
                if events.is_empty() {
                    continue;
                }
                let is_written = writer.write(subscription.session(), &events);
                if is_written && subscription.session().outbox().has_more() {
                    // Nothing is left that would tell of having been flushed, and so bring a turn.
                    self.writer.wake();
                }
            }
        }
        self.waiting_since = match writer.transport.can_send() {
            true => None,
            false => self.waiting_since.or_else(|| Some(Instant::now())),
        };
        true
    }

    /// Goes to the writer. What is called meanwhile must not go there as well.
    pub(super) fn writer(&self) -> MutexGuard<'_, WriterState> {
        self.writer.lock()
    }

    /// Whether all that was handed to the transport is with the kernel.
    pub(super) fn can_send(&self) -> bool {
        self.writer().transport.can_send()
    }

    /// Queues a frame.
    pub(super) fn send(&self, frame: Frame) {
        self.writer().transport.send(frame);
    }

    /// Queues an event for the session in a namespace.
    pub(super) fn send_event(&self, namespace: Namespace, event: &Event) {
        self.send(codec::frame(self.codec.dialect(), namespace, event));
    }

    /// `error` as every dialect has it (contract 4.2).
    pub(super) fn send_error(&mut self, namespace: Namespace, code: &str, message: &str) {
        let data = codec::failure(code, message);
        self.send_direct(namespace, &EventType::ERROR, &data);
    }

    /// A message for one session alone.
    pub(super) fn send_direct(
        &mut self,
        namespace: Namespace,
        kind: &EventType,
        data: &impl Serialize,
    ) {
        self.send(self.codec.direct(namespace, kind, data));
        self.count_answer(namespace);
    }

    async fn receive(&mut self, frame: Frame) -> Result<(), CloseAction> {
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
                self.writer().discard_queue();
                Err(CloseAction::Break { code, reason })
            }
        }
    }

    /// Takes a session out. Only one that was proven gives the connection new time to prove another.
    pub(super) fn leave(&mut self, index: usize) {
        let entry = self.sessions.remove(index);
        if entry.is_live() && !self.is_proven() {
            self.unproven_since = Instant::now();
        }
        entry.leave(&self.app);
    }

    /// Whether any of its sessions has proven who it is.
    pub(super) fn is_proven(&self) -> bool {
        self.sessions.iter().any(NamespaceSession::is_live)
    }

    /// The session that a message is for; none if its namespace was left or never entered.
    fn addressed(&self, namespace: Option<&str>) -> Option<usize> {
        match namespace {
            Some(namespace) => self.find(namespace),
            None => (!self.sessions.is_empty()).then_some(0),
        }
    }

    fn find(&self, namespace: &str) -> Option<usize> {
        self.sessions
            .iter()
            .position(|entry| entry.namespace.path() == namespace)
    }

    /// A place for a session in a namespace, before it is proven.
    pub(super) fn request(
        &self,
        id: &ConnectionId,
        namespace: Namespace,
        hint: ResumeHint,
    ) -> ConnectRequest {
        ConnectRequest {
            id: id.clone(),
            namespace,
            dialect: self.codec.dialect(),
            address: self.peer.address,
            writer: self.writer.clone(),
            hint,
        }
    }
}

impl Drop for Connection {
    /// One that was given up while it was opened, or whose task failed, has sessions still: what the hub
    /// knows of them would keep the socket open for good.
    fn drop(&mut self) {
        self.leave_all();
        drop(self.writer().transport.take());
    }
}

impl Connection {
    /// A message of its own was handed to the transport for the session in a namespace.
    pub(super) fn count_answer(&self, namespace: Namespace) {
        let entry = self
            .sessions
            .iter()
            .find(|entry| entry.namespace == namespace);
        let session = entry.and_then(|entry| entry.session());
        delivery_metrics::count_sent(&self.app.hub, session.map(Arc::as_ref), 1);
    }

    /// A session brought a message.
    pub(super) fn count_received(&self, index: usize) {
        let now = Timestamp::now();
        self.app.hub.metrics().received(now);
        if let Some(session) = self.sessions.get(index).and_then(|entry| entry.session()) {
            session.metrics().received(now);
        }
    }
}
