//! Who may come in and how each dialect tells it: by the handshake, by CONNECT, or by message
//! (contract sections 3, 4.1 and 4.4).

use serde_json::value::RawValue;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::close_action::CloseAction;
use super::codec::{Codec, RequestMark};
use super::command::Authenticate;
use super::connection::Connection;
use super::namespace_session::NamespaceSession;
use super::position::ResumeHint;
use super::registration::{self, Proof, RegisteredSession};
use crate::authentication::{AuthError, Credential};
use realtime_protocol::socketio;
use wallcast_core::clock::Timestamp;
use wallcast_core::disconnect::DisconnectReason;
use wallcast_core::event::{Event, EventType, Namespace, NewEvent};
use wallcast_core::ids::ConnectionId;

/// Tokens that a connection may have refused before it is closed: one for each namespace, twice.
const MAX_REFUSALS: usize = 8;

impl Connection {
    /// Opens the one session of a JSON WebSocket or an event stream, before its handshake is answered:
    /// a wrong token fails the handshake (contract 3). None is returned, and the session has to
    /// authenticate, if the handshake brings no proof.
    ///
    /// # Errors
    /// Why the proof does not stand.
    pub(super) async fn open(&mut self) -> Result<Option<Box<RegisteredSession>>, AuthError> {
        let (id, namespace) = (ConnectionId::random(), self.handshake.namespace);
        let Some(proof) = self.handshake.proof() else {
            self.admit(namespace, id);
            return Ok(None);
        };
        // Nothing asks for it again.
        self.handshake.credential = None;
        let hint = ResumeHint::at(self.handshake.position.take());
        let request = self.request(&id, namespace, hint);
        let entered = registration::enter(&self.app, proof, request).await?;
        self.admit(namespace, id);
        self.activate(0, &entered);
        Ok(Some(Box::new(entered)))
    }

    /// Makes the place of a session that is about to prove itself. Beside a proven one it has time
    /// of its own; else it has what is left of the connection's.
    fn admit(&mut self, namespace: Namespace, id: ConnectionId) {
        let since = match self.is_proven() {
            true => Instant::now(),
            false => self.unproven_since,
        };
        self.sessions
            .push(NamespaceSession::waiting(namespace, id, since));
    }

    /// Socket.IO's CONNECT (protocol v5): proves the token that it brings, else the handshake's;
    /// without any the session must authenticate by message.
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
            .any(|entry| entry.namespace == namespace)
        {
            return Ok(());
        }
        let auth = auth.and_then(|auth| serde_json::from_str(auth.get()).ok());
        let auth = auth.unwrap_or(Value::Null);
        let proof = match token_of(&auth) {
            Ok(Some(credential)) => Some(Proof::Credential(credential)),
            Ok(None) => self.handshake.proof(),
            Err(error) => return self.connect_error(path, &error),
        };
        let id = ConnectionId::random();
        let Some(proof) = proof else {
            self.send(socketio::connect(path, id.as_str(), None));
            self.admit(namespace, id);
            return Ok(());
        };
        let request = self.request(&id, namespace, ResumeHint::from_auth(&auth));
        match registration::enter(&self.app, proof, request).await {
            Ok(entered) => {
                let (id, pid) = (entered.session.id().clone(), entered.pid(&self.app.signer));
                self.send(socketio::connect(path, id.as_str(), Some(&pid)));
                self.admit(namespace, id);
                self.welcome(self.sessions.len() - 1, entered);
                Ok(())
            }
            Err(error) => self.connect_error(path, &error),
        }
    }

    fn connect_error(&mut self, path: &str, error: &AuthError) -> Result<(), CloseAction> {
        tracing::info!(from = %self.peer.shown(), code = error.code(), "socket refused");
        if let AuthError::Store(_) = error {
            // Stock clients come back after a close, and would not after a refusal.
            self.writer().discard_queue();
            return Err(DisconnectReason::TryAgain.into());
        }
        self.send_connect_error(path, error.code(), &error.to_string());
        self.refusals += 1;
        if self.refusals > MAX_REFUSALS {
            return Err(DisconnectReason::Unauthenticated.into());
        }
        Ok(())
    }

    /// A CONNECT over the rate: told, not acted on, and the connection stays.
    pub(super) fn refuse_connect_rate(&mut self, path: &str) {
        let text = "Too many messages in a second; this one was not acted on";
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
        mark: Option<RequestMark>,
    ) -> Result<(), CloseAction> {
        let Some(entry) = self.sessions.get(index) else {
            return Ok(());
        };
        let (namespace, id) = (entry.namespace, entry.id.clone());
        let credential = Credential::parse(&claimed.token);
        if let Some(session) = entry.session() {
            let renewed =
                registration::renew(&self.app, &credential, session.clone(), claimed).await;
            return match renewed {
                Ok(Some(principal)) => {
                    let words = registration::authenticated(&principal, &id);
                    self.send_direct(namespace, &EventType::AUTHENTICATED, &words);
                    self.succeed(namespace, mark, words);
                    Ok(())
                }
                Ok(None) => {
                    let text = "This socket is somebody else's already; open another";
                    self.fail(namespace, mark, "already_authenticated", text);
                    Ok(())
                }
                Err(error) => self.refuse_token(namespace, &error, mark),
            };
        }
        let proof = Proof::Credential(credential);
        let hint = ResumeHint::at(self.handshake.position.take());
        let request = self.request(&id, namespace, hint);
        match registration::enter_as(&self.app, proof, request, claimed).await {
            Ok(entered) => {
                let words = entered.authenticated();
                self.send_direct(namespace, &EventType::AUTHENTICATED, &words);
                self.succeed(namespace, mark, words);
                self.welcome(index, entered);
                Ok(())
            }
            Err(error) => self.refuse_token(namespace, &error, mark),
        }
    }

    /// A wrong token by message: told in the words of both seeds, then the end (contract 3).
    fn refuse_token(
        &mut self,
        namespace: Namespace,
        error: &AuthError,
        mark: Option<RequestMark>,
    ) -> Result<(), CloseAction> {
        tracing::info!(from = %self.peer.shown(), code = error.code(), "socket refused");
        let text = error.to_string();
        let data = json!({ "message": text, "code": error.code(), "timestamp": Timestamp::now() });
        self.send_direct(namespace, &EventType::AUTH_ERROR, &data);
        if let Codec::SocketIo(_) = self.codec {
            let data = json!({ "error": text, "timestamp": Timestamp::now() });
            self.send_direct(namespace, &EventType::AUTHENTICATION_ERROR, &data);
        }
        if mark.is_some() {
            self.fail(namespace, mark, error.code(), &text);
        }
        let reason = match error {
            AuthError::Revoked => DisconnectReason::Revoked,
            AuthError::Inactive => DisconnectReason::Inactive,
            AuthError::Store(_) => DisconnectReason::TryAgain,
            _ => DisconnectReason::Unauthenticated,
        };
        if let Some(at) = self
            .sessions
            .iter()
            .position(|entry| entry.namespace == namespace)
        {
            self.leave(at);
        }
        self.close_namespace(namespace, reason)
    }

    fn send_first_states(&mut self, index: usize) {
        let Some(entry) = self.sessions.get_mut(index) else {
            return;
        };
        let namespace = entry.namespace;
        if !entry.prepare_states(&self.app) {
            return;
        }
        for event in entry.drain(1) {
            self.send_event(namespace, &event);
            self.count_answer(namespace);
        }
    }

    /// A session that entered is live: it takes its place, and is told the first words.
    fn welcome(&mut self, index: usize, entered: RegisteredSession) {
        self.activate(index, &entered);
        self.send_welcome(index, &entered);
    }

    /// The place is that of a session which entered, and leaves with it.
    fn activate(&mut self, index: usize, entered: &RegisteredSession) {
        let Some(entry) = self.sessions.get_mut(index) else {
            return;
        };
        entry.begin(entered.session.clone(), entered.start.after);
        if let Some(subscription) = entry.subscription() {
            subscription
                .note_sent_with_welcome(entered.pending.iter().filter_map(Event::id).collect());
        }
        self.permit.proven();
    }

    /// The first words (contract 4.4).
    pub(super) fn send_welcome(&mut self, index: usize, entered: &RegisteredSession) {
        let Some(entry) = self.sessions.get(index) else {
            return;
        };
        let namespace = entry.namespace;
        self.writer()
            .transport
            .set_max_message(self.app.config.max_message_bytes);
        tracing::info!(
            who = %entered.principal.subject,
            from = %self.peer.shown(),
            dialect = entered.session.dialect().as_str(),
            namespace = namespace.path(),
            connection = %entered.session.id(),
            start = ?entered.start.outcome,
            after = entered.start.after.get(),
            "connected"
        );
        let words = entered.welcome_data();
        match self.codec {
            Codec::Json => self.send_direct(namespace, &EventType::CONNECTION, &words),
            Codec::SocketIo(_) => self.send_direct(namespace, &EventType::CONNECTED, &words),
            Codec::Sse => {
                let words = NewEvent::new(EventType::CONNECTION, &words, Vec::new());
                let mut words = Event::ephemeral(words, Timestamp::now());
                // An EventSource that hears nothing more comes back with this one's id, unless there
                // is more that it must hear.
                if entered.pending.is_empty() {
                    words = words.with_position(entered.position());
                }
                self.send_event(namespace, &words);
                self.count_answer(namespace);
            }
        }
        if let Some(lost) = entered.resync_required() {
            self.send_direct(namespace, &EventType::RESYNC_REQUIRED, &lost);
        }
        if let Some(event) = &entered.granted {
            self.send_event(namespace, event);
            self.count_answer(namespace);
        }
        // A session without a position gets the snapshots before what waits for it (contract 4.4).
        self.send_first_states(index);
        for event in &entered.pending {
            self.send_event(namespace, event);
            self.count_answer(namespace);
        }
    }
}

/// The token of Socket.IO's `auth` object, if it brings one.
fn token_of(auth: &Value) -> Result<Option<Credential>, AuthError> {
    match auth.get("token") {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(token)) => Ok(Some(Credential::parse(token))),
        Some(_) => Err(AuthError::InvalidToken),
    }
}
