//! A connection's task and its loop: it reads client messages, writes events that the dispatcher cannot write, acts on
//! deadlines and closes sessions.
//!
//! A JSON WebSocket or event stream has one session from the start. A Socket.IO connection has one for each
//! namespace that the client connected to.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::{Arc, MutexGuard};
use std::task::Poll;
use std::time::Duration;

use realtime_protocol::{Event as TransportEvent, Frame};
use serde::Serialize;
use tokio::time::{Instant, sleep};
use wallcast_core::clock::Timestamp;
use wallcast_core::event::{Event, EventType, Namespace};
use wallcast_core::hub::ConnectionWriter;
use wallcast_core::ids::ConnectionId;
use wallcast_core::shutdown::WorkGuard;

use super::calls::Calls;
use super::close_action::CloseAction;
use super::codec::{self, Codec, Inbound};
use super::delivery_metrics;
use super::namespace_session::NamespaceSession;
use super::position::{ResumeHint, ResumeRequest};
use super::rate_limit::RateLimit;
use super::registration::{AuthMethod, ConnectRequest};
use super::transport::Transport;
use super::writer_state::{BATCH, WriterState};
use crate::app::App;
use crate::authentication::Credential;
use crate::http::Peer;
use crate::net::SocketPermit;

/// The timer of a connection that has no deadline.
const IDLE: Duration = Duration::from_secs(3600);

/// What the opening HTTP request contains.
#[derive(Debug)]
pub(super) struct Handshake {
    pub(super) credential: Option<Credential>,
    pub(super) local_admin: Option<String>,
    /// The namespace of a JSON WebSocket's path.
    pub(super) namespace: Namespace,
    /// Where the client wants to resume.
    pub(super) position: Option<ResumeRequest>,
}

impl Handshake {
    pub(super) fn auth_method(&self) -> Option<AuthMethod> {
        match (&self.local_admin, &self.credential) {
            (Some(id), _) => Some(AuthMethod::LocalAdmin(id.clone())),
            (None, Some(credential)) => Some(AuthMethod::Credential(credential.clone())),
            (None, None) => None,
        }
    }
}

pub(super) struct Connection {
    pub(super) app: Arc<App>,
    pub(super) writer: Arc<ConnectionWriter<WriterState>>,
    pub(super) codec: Codec,
    pub(super) peer: Peer,
    pub(super) handshake: Handshake,
    pub(super) sessions: Vec<NamespaceSession>,
    pub(super) permit: SocketPermit,
    /// Tokens that were rejected on this connection.
    pub(super) rejected_tokens: usize,
    /// Since when no session is authenticated. Connecting to and leaving namespaces does not reset it.
    pub(super) unauthenticated_since: Instant,
    /// Since when frames wait for the peer to take them.
    pub(super) waiting_since: Option<Instant>,
    pub(super) rate: RateLimit,
    pub(super) calls: Calls,
    /// When the sessions' metrics last recorded that the peer sent something.
    last_received: Instant,
    _work_guard: WorkGuard,
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
            _work_guard: app.shutdown.work_guard(),
            app,
            writer,
            codec,
            peer,
            handshake,
            // Most connections have one session.
            sessions: Vec::with_capacity(1),
            permit,
            rejected_tokens: 0,
            unauthenticated_since: Instant::now(),
            waiting_since: None,
            calls: Calls::default(),
            last_received: Instant::now(),
        }
    }

    /// Sets the transport of a connection that was created before its handshake was answered.
    pub(super) fn set_transport(&mut self, transport: Transport) {
        self.writer().transport = transport;
    }

    /// Runs until the connection is closed.
    ///
    /// An `async fn` would hold the connection twice in its future, as argument and as variable.
    #[allow(clippy::manual_async_fn, reason = "half as large as an async fn")]
    pub(super) fn run(mut self) -> impl Future<Output = ()> + Send {
        async move {
            let action = self.serve().await;
            self.unregister_all();
            tracing::info!(from = %self.peer.shown(), reason = action.reason(), "connection closed");
            let mut transport = self.writer().transport.take();
            // Rare steps are boxed: the task is as large as its largest await, and thousands of tasks are idle.
            match action {
                CloseAction::Close(reason) => {
                    for frame in self.codec.close_frames(reason) {
                        transport.send(frame);
                    }
                    Box::pin(transport.close(reason.code(), reason.as_str())).await;
                }
                CloseAction::ProtocolError { code, reason } => {
                    Box::pin(transport.close(code, reason)).await
                }
                CloseAction::Abort => {}
            }
        }
    }

    fn unregister_all(&mut self) {
        for session in self.sessions.drain(..) {
            session.unregister(&self.app);
        }
    }

    async fn serve(&mut self) -> CloseAction {
        let (app, writer) = (self.app.clone(), self.writer.clone());
        let mut stopping = pin!(app.shutdown.begun());
        let mut timer = pin!(sleep(IDLE));
        loop {
            if let Err(action) = self.drain_outboxes() {
                return action;
            }
            if let Err(action) = self.catch_up().await {
                return action;
            }
            if let Err(action) = self.act_on_posted_message().await {
                return action;
            }
            self.reply_to_finished_calls();
            // The timer is set only to an earlier deadline. One that moved back is found when the timer fires,
            // which is cheaper than resetting the timer in each iteration.
            match self.next_deadline() {
                deadline if timer.is_elapsed() => {
                    let far = || Instant::now() + IDLE;
                    timer.as_mut().reset(deadline.unwrap_or_else(far));
                }
                Some(deadline) if deadline < timer.deadline() => timer.as_mut().reset(deadline),
                _ => {}
            }
            let is_idle = self.can_send();
            // Shutdown and deadlines come first, so that a peer that never pauses cannot delay them. Queued
            // events come before the transport only while the transport has nothing left to write.
            let transport_event = tokio::select! {
                biased;
                () = stopping.as_mut() => return self.shut_down().await,
                () = timer.as_mut() => {
                    match self.on_deadline() {
                        Ok(()) => None,
                        Err(action) => return action,
                    }
                }
                () = writer.woken(), if is_idle => None,
                event = self.next_event() => event,
                () = writer.woken(), if !is_idle => None,
            };
            let result = match transport_event {
                Some(TransportEvent::Message(frame)) => {
                    // Events that were queued before the message arrived are written before its reply.
                    match self.drain_outboxes() {
                        Ok(()) => self.receive(frame).await,
                        Err(action) => Err(action),
                    }
                }
                Some(TransportEvent::Closed(why)) => {
                    tracing::debug!(?why, "transport closed");
                    return CloseAction::Abort;
                }
                Some(TransportEvent::Flushed) => {
                    self.writer().on_flushed();
                    Ok(())
                }
                None => Ok(()),
            };
            if let Err(action) = result {
                return action;
            }
        }
    }

    /// The transport's next event, or `None` once a session was ended. Checked under the writer's lock: once a
    /// session is ended nothing more is written for it (`docs/protocol.md#revocation`).
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
            let is_replaying = sessions.iter().any(NamespaceSession::is_replaying);
            let event = writer.transport.poll_event(is_replaying, cx);
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

    /// Writes the events in the outboxes, as far as the kernel takes them. If the hub ended a session, closes the ended
    /// sessions instead.
    pub(super) fn drain_outboxes(&mut self) -> Result<(), CloseAction> {
        if self.try_drain_outboxes() {
            return Ok(());
        }
        self.close_ended_sessions()
    }

    /// Writes the events in the outboxes. False, with nothing written, if a session was ended.
    fn try_drain_outboxes(&mut self) -> bool {
        if self.can_send() {
            for session in &self.sessions {
                session.queue_due_snapshot(&self.app);
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
                if !subscription.is_replaying() {
                    subscription.session().outbox().allow_dispatch();
                }
                if events.is_empty() {
                    continue;
                }
                let is_written = writer.write(subscription.session(), &events);
                if is_written && subscription.session().outbox().has_more() {
                    // No `Flushed` event follows a complete write, so the loop needs another reason to run.
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

    /// Locks the writer. The caller must not lock it again while it holds the guard.
    pub(super) fn writer(&self) -> MutexGuard<'_, WriterState> {
        self.writer.lock()
    }

    /// Whether everything queued on the transport has been written.
    pub(super) fn can_send(&self) -> bool {
        self.writer().transport.can_send()
    }

    pub(super) fn send(&self, frame: Frame) {
        self.writer().transport.send(frame);
    }

    /// Queues an event for the session in a namespace.
    pub(super) fn send_event(&self, namespace: Namespace, event: &Event) {
        self.send(codec::frame(self.codec.dialect(), namespace, event));
    }

    /// Queues an `error` event for the session in a namespace.
    pub(super) fn send_error(&mut self, namespace: Namespace, code: &str, message: &str) {
        let data = codec::failure(code, message);
        self.send_direct(namespace, &EventType::ERROR, &data);
    }

    /// Queues an event for the session in a namespace alone: it has no id and no topics.
    pub(super) fn send_direct(
        &mut self,
        namespace: Namespace,
        event_type: &EventType,
        data: &impl Serialize,
    ) {
        self.send(self.codec.direct(namespace, event_type, data));
        self.count_sent(namespace);
    }

    async fn receive(&mut self, frame: Frame) -> Result<(), CloseAction> {
        match self.codec.decode(frame) {
            Inbound::Connect { namespace, auth } => {
                if self.rate.allows(Instant::now()) {
                    Box::pin(self.connect(&namespace, auth.as_deref())).await
                } else {
                    self.reject_connect_over_rate(&namespace);
                    Ok(())
                }
            }
            Inbound::Disconnect { namespace } => {
                if let Some(index) = self.find_namespace(&namespace) {
                    self.remove_session(index);
                }
                Ok(())
            }
            Inbound::Message(message) => {
                let Some(index) = self.session_index(message.namespace.as_deref()) else {
                    return Ok(());
                };
                self.count_received(index);
                if self.rate.allows(Instant::now()) {
                    Box::pin(self.act(index, message)).await
                } else {
                    self.reject_over_rate(index, message.reply_to);
                    Ok(())
                }
            }
            Inbound::Invalid(message) => {
                let Some(index) = self.session_index(message.namespace.as_deref()) else {
                    return Ok(());
                };
                self.count_received(index);
                if self.rate.allows(Instant::now()) {
                    self.reject_invalid(index, message);
                } else {
                    self.reject_over_rate(index, message.reply_to);
                }
                Ok(())
            }
            Inbound::Ignored => Ok(()),
            Inbound::ProtocolError { code, reason } => {
                self.writer().discard_queue();
                Err(CloseAction::ProtocolError { code, reason })
            }
        }
    }

    /// Removes a session. The time to authenticate starts again only if the session was authenticated.
    pub(super) fn remove_session(&mut self, index: usize) {
        let session = self.sessions.remove(index);
        if session.is_live() && !self.is_authenticated() {
            self.unauthenticated_since = Instant::now();
        }
        session.unregister(&self.app);
    }

    /// Whether any session is authenticated.
    pub(super) fn is_authenticated(&self) -> bool {
        self.sessions.iter().any(NamespaceSession::is_live)
    }

    /// The index of the session that a message is for; `None` if the client is not connected to its namespace.
    fn session_index(&self, namespace: Option<&str>) -> Option<usize> {
        match namespace {
            Some(namespace) => self.find_namespace(namespace),
            None => (!self.sessions.is_empty()).then_some(0),
        }
    }

    fn find_namespace(&self, namespace: &str) -> Option<usize> {
        self.sessions
            .iter()
            .position(|session| session.namespace.path() == namespace)
    }

    /// The request to register a session of this connection.
    pub(super) fn connect_request(
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

    /// Counts a message that was queued for the session in a namespace.
    pub(super) fn count_sent(&self, namespace: Namespace) {
        let session = self
            .sessions
            .iter()
            .find(|session| session.namespace == namespace);
        let session = session.and_then(NamespaceSession::live_session);
        delivery_metrics::count_sent(&self.app.hub, session.map(Arc::as_ref), 1);
    }

    /// Counts a message that a session sent.
    pub(super) fn count_received(&self, index: usize) {
        let now = Timestamp::now();
        self.app.hub.metrics().received(now);
        if let Some(session) = self
            .sessions
            .get(index)
            .and_then(|session| session.live_session())
        {
            session.metrics().received(now);
        }
    }
}

impl Drop for Connection {
    /// Unregisters the sessions of a connection that was cancelled while it opened, or whose task panicked.
    /// Otherwise the hub's references would keep the socket open.
    fn drop(&mut self) {
        self.unregister_all();
        drop(self.writer().transport.take());
    }
}
