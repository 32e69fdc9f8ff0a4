//! Authenticates sessions by the handshake, by Socket.IO's CONNECT or by an `authenticate` message, and sends the
//! welcome (`docs/protocol.md#socket-authentication`, `docs/protocol.md#welcome`).

use realtime_protocol::socketio;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use tokio::time::Instant;
use wallcast_core::clock::Timestamp;
use wallcast_core::disconnect::DisconnectReason;
use wallcast_core::event::{Event, EventType, Namespace, NewEvent};
use wallcast_core::ids::ConnectionId;

use super::close_action::CloseAction;
use super::codec::{Codec, ReplyTo};
use super::command::Authenticate;
use super::connection::Connection;
use super::namespace_session::NamespaceSession;
use super::position::ResumeHint;
use super::registration::{self, AuthMethod, RegisteredSession};
use crate::authentication::{AuthError, Credential};

/// Rejected tokens after which a connection is closed: two for each namespace.
const MAX_REJECTED_TOKENS: usize = 8;

impl Connection {
    /// Opens the session of a JSON WebSocket or an event stream before its handshake is answered, so that a
    /// wrong token fails the handshake. Without a token in the handshake the session must authenticate by
    /// message; the result is none then.
    ///
    /// # Errors
    /// Why authentication failed.
    pub(super) async fn open_session(
        &mut self,
    ) -> Result<Option<Box<RegisteredSession>>, AuthError> {
        let (id, namespace) = (ConnectionId::random(), self.handshake.namespace);
        let Some(auth_method) = self.handshake.auth_method() else {
            self.add_unauthenticated(namespace, id);
            return Ok(None);
        };
        // A JSON WebSocket and an event stream have no second session that would need it.
        self.handshake.credential = None;
        let hint = ResumeHint::from_position(self.handshake.position.take());
        let request = self.connect_request(&id, namespace, hint);
        let registered = registration::register(&self.app, auth_method, request).await?;
        self.add_unauthenticated(namespace, id);
        self.activate(0, &registered);
        Ok(Some(Box::new(registered)))
    }

    /// Adds a session that is not live yet. If another session is authenticated it gets the full time to
    /// authenticate, otherwise what is left of the connection's time.
    fn add_unauthenticated(&mut self, namespace: Namespace, id: ConnectionId) {
        let since = match self.is_authenticated() {
            true => Instant::now(),
            false => self.unauthenticated_since,
        };
        self.sessions
            .push(NamespaceSession::unauthenticated(namespace, id, since));
    }

    /// Handles Socket.IO's CONNECT (protocol v5): authenticates with its token, else with the handshake's. Without
    /// either, the session must authenticate by message.
    pub(super) async fn connect(
        &mut self,
        path: &str,
        auth: Option<&RawValue>,
    ) -> Result<(), CloseAction> {
        let Some(namespace) = Namespace::from_path(path) else {
            self.send(socketio::connect_error(path, "Invalid namespace", None));
            return Ok(());
        };
        if self
            .sessions
            .iter()
            .any(|session| session.namespace == namespace)
        {
            return Ok(());
        }
        let auth = auth.and_then(|auth| serde_json::from_str(auth.get()).ok());
        let auth = auth.unwrap_or(Value::Null);
        let auth_method = match token_of(&auth) {
            Ok(Some(credential)) => Some(AuthMethod::Credential(credential)),
            Ok(None) => self.handshake.auth_method(),
            Err(error) => return self.connect_error(path, &error),
        };
        let id = ConnectionId::random();
        let Some(auth_method) = auth_method else {
            self.send(socketio::connect(path, id.as_str(), None));
            self.add_unauthenticated(namespace, id);
            return Ok(());
        };
        let request = self.connect_request(&id, namespace, ResumeHint::from_auth(&auth));
        match registration::register(&self.app, auth_method, request).await {
            Ok(registered) => {
                let (id, pid) = (
                    registered.session.id().clone(),
                    registered.pid(&self.app.signer),
                );
                self.send(socketio::connect(path, id.as_str(), Some(&pid)));
                self.add_unauthenticated(namespace, id);
                self.activate_and_welcome(self.sessions.len() - 1, registered);
                Ok(())
            }
            Err(error) => self.connect_error(path, &error),
        }
    }

    fn connect_error(&mut self, path: &str, error: &AuthError) -> Result<(), CloseAction> {
        tracing::info!(from = %self.peer.shown(), code = error.code(), "socket refused");
        if let AuthError::Store(_) = error {
            // Stock Socket.IO clients reconnect after a close, but not after CONNECT_ERROR.
            self.writer().discard_queue();
            return Err(DisconnectReason::TryAgain.into());
        }
        self.send_connect_error(path, error.code(), &error.to_string());
        self.rejected_tokens += 1;
        if self.rejected_tokens > MAX_REJECTED_TOKENS {
            return Err(DisconnectReason::Unauthenticated.into());
        }
        Ok(())
    }

    /// Answers a CONNECT over the rate limit with CONNECT_ERROR and keeps the connection.
    pub(super) fn reject_connect_over_rate(&mut self, path: &str) {
        let text = "Too many messages in one second; this one was ignored";
        self.send_connect_error(path, "rate_limited", text);
    }

    fn send_connect_error(&mut self, path: &str, code: &str, text: &str) {
        let data = json!({ "code": code, "message": text });
        let data = serde_json::value::to_raw_value(&data).ok();
        let packet = socketio::connect_error(path, "Authentication error", data.as_deref());
        self.send(packet);
    }

    pub(super) async fn authenticate(
        &mut self,
        index: usize,
        claimed: Authenticate,
        reply_to: Option<ReplyTo>,
    ) -> Result<(), CloseAction> {
        let Some(session) = self.sessions.get(index) else {
            return Ok(());
        };
        let (namespace, id) = (session.namespace, session.id.clone());
        let credential = Credential::parse(&claimed.token);
        if let Some(live) = session.live_session() {
            let renewed = registration::renew(&self.app, &credential, live.clone(), claimed).await;
            return match renewed {
                Ok(Some(principal)) => {
                    let data = registration::authenticated_data(&principal, &id);
                    self.send_direct(namespace, &EventType::AUTHENTICATED, &data);
                    self.reply_success(namespace, reply_to, data);
                    Ok(())
                }
                Ok(None) => {
                    let text = "This socket is authenticated for another user or other access; open another socket";
                    self.reply_error(namespace, reply_to, "already_authenticated", text);
                    Ok(())
                }
                Err(error) => self.reject_token(namespace, &error, reply_to),
            };
        }
        let auth_method = AuthMethod::Credential(credential);
        let hint = ResumeHint::from_position(self.handshake.position.take());
        let request = self.connect_request(&id, namespace, hint);
        match registration::register_with_claims(&self.app, auth_method, request, claimed).await {
            Ok(registered) => {
                let data = registered.authenticated_data();
                self.send_direct(namespace, &EventType::AUTHENTICATED, &data);
                self.reply_success(namespace, reply_to, data);
                self.activate_and_welcome(index, registered);
                Ok(())
            }
            Err(error) => self.reject_token(namespace, &error, reply_to),
        }
    }

    /// Rejects a token that came by message: sends the errors of the dialect, then closes the session.
    fn reject_token(
        &mut self,
        namespace: Namespace,
        error: &AuthError,
        reply_to: Option<ReplyTo>,
    ) -> Result<(), CloseAction> {
        tracing::info!(from = %self.peer.shown(), code = error.code(), "socket refused");
        let text = error.to_string();
        let data = json!({ "message": text, "code": error.code(), "timestamp": Timestamp::now() });
        self.send_direct(namespace, &EventType::AUTH_ERROR, &data);
        if let Codec::SocketIo(_) = self.codec {
            let data = json!({ "error": text, "timestamp": Timestamp::now() });
            self.send_direct(namespace, &EventType::AUTHENTICATION_ERROR, &data);
        }
        if reply_to.is_some() {
            self.reply_error(namespace, reply_to, error.code(), &text);
        }
        let reason = match error {
            AuthError::Revoked => DisconnectReason::Revoked,
            AuthError::Inactive => DisconnectReason::Inactive,
            AuthError::Store(_) => DisconnectReason::TryAgain,
            _ => DisconnectReason::Unauthenticated,
        };
        if let Some(index) = self
            .sessions
            .iter()
            .position(|session| session.namespace == namespace)
        {
            self.remove_session(index);
        }
        self.close_namespace(namespace, reason)
    }

    /// Sends the snapshot of entity states, if the session gets one.
    fn send_initial_snapshot(&mut self, index: usize) {
        let Some(session) = self.sessions.get_mut(index) else {
            return;
        };
        let namespace = session.namespace;
        if !session.queue_due_snapshot(&self.app) {
            return;
        }
        for event in session.drain(1) {
            self.send_event(namespace, &event);
            self.count_sent(namespace);
        }
    }

    fn activate_and_welcome(&mut self, index: usize, registered: RegisteredSession) {
        self.activate(index, &registered);
        self.send_welcome(index, &registered);
    }

    /// Makes the session at `index` live: it delivers the registered session's events from now on.
    fn activate(&mut self, index: usize, registered: &RegisteredSession) {
        let Some(session) = self.sessions.get_mut(index) else {
            return;
        };
        session.activate(registered.session.clone(), registered.start.after);
        if let Some(subscription) = session.subscription() {
            subscription
                .note_sent_with_welcome(registered.pending.iter().filter_map(Event::id).collect());
        }
        self.permit.mark_authenticated();
    }

    /// Sends the first events of a registered session: welcome, `resync_required`, `pairing_completed`, entity
    /// states, then pending commands and messages.
    pub(super) fn send_welcome(&mut self, index: usize, registered: &RegisteredSession) {
        let Some(session) = self.sessions.get(index) else {
            return;
        };
        let namespace = session.namespace;
        self.writer()
            .transport
            .set_max_message(self.app.config.max_message_bytes);
        tracing::info!(
            subject = %registered.principal.subject,
            from = %self.peer.shown(),
            dialect = registered.session.dialect().as_str(),
            namespace = namespace.path(),
            connection = %registered.session.id(),
            resume = ?registered.start.outcome,
            after = registered.start.after.get(),
            "session opened"
        );
        let welcome = registered.welcome_data();
        match self.codec {
            Codec::Json => self.send_direct(namespace, &EventType::CONNECTION, &welcome),
            Codec::SocketIo(_) => self.send_direct(namespace, &EventType::CONNECTED, &welcome),
            Codec::Sse => {
                let welcome = NewEvent::new(EventType::CONNECTION, &welcome, Vec::new());
                let mut welcome = Event::ephemeral(welcome, Timestamp::now());
                // An EventSource that receives nothing else reconnects with the welcome's id. If pending events
                // follow, the last of them carries the position instead.
                if registered.pending.is_empty() {
                    welcome = welcome.with_position(registered.position());
                }
                self.send_event(namespace, &welcome);
                self.count_sent(namespace);
            }
        }
        if let Some(lost) = registered.resync_required() {
            self.send_direct(namespace, &EventType::RESYNC_REQUIRED, &lost);
        }
        if let Some(event) = &registered.pairing_completed {
            self.send_event(namespace, event);
            self.count_sent(namespace);
        }
        // The snapshot comes before pending events (docs/protocol.md#welcome).
        self.send_initial_snapshot(index);
        for event in &registered.pending {
            self.send_event(namespace, event);
            self.count_sent(namespace);
        }
    }
}

/// The token of Socket.IO's `auth` object, if there is one.
fn token_of(auth: &Value) -> Result<Option<Credential>, AuthError> {
    match auth.get("token") {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(token)) => Ok(Some(Credential::parse(token))),
        Some(_) => Err(AuthError::InvalidToken),
    }
}
