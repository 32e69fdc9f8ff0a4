//! Who may come in and how each dialect tells it: by the handshake, by CONNECT, or by message
//! (contract sections 3, 4.1 and 4.4).

use serde_json::value::RawValue;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::codec::{Codec, RequestMark};
use super::command::Authenticate;
use super::connection::Connection;
use super::entry::{self, Entered, Proof};
use super::parting::Parting;
use super::position::Past;
use super::slot::Slot;
use crate::auth::{AuthError, Credential};
use crate::clock::Timestamp;
use crate::event::{Event, Kind, Namespace, NewEvent};
use crate::hub::Ending;
use crate::ids::ConnectionId;
use crate::protocol::socketio;

/// Tokens that a connection may have refused before it is closed: one for each namespace, twice.
const MAX_REFUSALS: usize = 8;

impl Connection {
    /// Opens the one session of a JSON WebSocket or an event stream, before its handshake is answered:
    /// a wrong token fails the handshake (contract 3). None is returned, and the session has to
    /// authenticate, if the handshake brings no proof.
    ///
    /// # Errors
    /// Why the proof does not stand.
    pub(super) async fn open(&mut self) -> Result<Option<Box<Entered>>, AuthError> {
        let (id, namespace) = (ConnectionId::random(), self.handshake.namespace);
        let Some(proof) = self.handshake.proof() else {
            self.admit(namespace, id);
            return Ok(None);
        };
        // Nothing asks for it again.
        self.handshake.credential = None;
        let past = Past::at(self.handshake.position.take());
        let newcomer = self.newcomer(&id, namespace, past);
        let entered = entry::enter(&self.app, proof, newcomer).await?;
        self.admit(namespace, id);
        self.seat(0, &entered);
        Ok(Some(Box::new(entered)))
    }

    /// Makes the place of a session that is about to prove itself. Beside a proven one it has time
    /// of its own; else it has what is left of the connection's.
    fn admit(&mut self, namespace: Namespace, id: ConnectionId) {
        let since = match self.is_proven() {
            true => Instant::now(),
            false => self.unproven_since,
        };
        self.slots.push(Slot::waiting(namespace, id, since));
    }

    /// Socket.IO's CONNECT (protocol v5): proves the token that it brings, else the handshake's;
    /// without any the session must authenticate by message.
    pub(super) async fn connect(
        &mut self,
        path: &str,
        auth: Option<&RawValue>,
    ) -> Result<(), Parting> {
        let Some(namespace) = Namespace::from_path(path) else {
            self.send(socketio::connect_error(path, "Invalid namespace", None));
            return Ok(());
        };
        if self.slots.iter().any(|slot| slot.namespace == namespace) {
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
        let newcomer = self.newcomer(&id, namespace, Past::from_auth(&auth));
        match entry::enter(&self.app, proof, newcomer).await {
            Ok(entered) => {
                let (id, pid) = (entered.session.id().clone(), entered.pid(&self.app.signer));
                self.send(socketio::connect(path, id.as_str(), Some(&pid)));
                self.admit(namespace, id);
                self.welcome(self.slots.len() - 1, entered);
                Ok(())
            }
            Err(error) => self.connect_error(path, &error),
        }
    }

    fn connect_error(&mut self, path: &str, error: &AuthError) -> Result<(), Parting> {
        tracing::info!(from = %self.peer.shown(), code = error.code(), "socket refused");
        if let AuthError::Store(_) = error {
            // Stock clients come back after a close, and would not after a refusal.
            self.desk().give_up();
            return Err(Ending::TryAgain.into());
        }
        self.tell_connect_error(path, error.code(), &error.to_string());
        self.refusals += 1;
        if self.refusals > MAX_REFUSALS {
            return Err(Ending::Unauthenticated.into());
        }
        Ok(())
    }

    /// A CONNECT over the rate: told, not acted on, and the connection stays.
    pub(super) fn refuse_connect_rate(&mut self, path: &str) {
        let text = "Too many messages in a second; this one was not acted on";
        self.tell_connect_error(path, "rate_limited", text);
    }

    fn tell_connect_error(&mut self, path: &str, code: &str, text: &str) {
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
    ) -> Result<(), Parting> {
        let Some(slot) = self.slots.get(index) else {
            return Ok(());
        };
        let (namespace, id) = (slot.namespace, slot.id.clone());
        let credential = Credential::parse(&claimed.token);
        if let Some(session) = slot.session() {
            let renewed = entry::renew(&self.app, &credential, session.clone(), claimed).await;
            return match renewed {
                Ok(Some(principal)) => {
                    let words = entry::authenticated(&principal, &id);
                    self.tell(namespace, &Kind::AUTHENTICATED, &words);
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
        let past = Past::at(self.handshake.position.take());
        let newcomer = self.newcomer(&id, namespace, past);
        match entry::enter_as(&self.app, proof, newcomer, claimed).await {
            Ok(entered) => {
                let words = entered.authenticated();
                self.tell(namespace, &Kind::AUTHENTICATED, &words);
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
    ) -> Result<(), Parting> {
        tracing::info!(from = %self.peer.shown(), code = error.code(), "socket refused");
        let text = error.to_string();
        let data = json!({ "message": text, "code": error.code(), "timestamp": Timestamp::now() });
        self.tell(namespace, &Kind::AUTH_ERROR, &data);
        if let Codec::SocketIo(_) = self.codec {
            let data = json!({ "error": text, "timestamp": Timestamp::now() });
            self.tell(namespace, &Kind::AUTHENTICATION_ERROR, &data);
        }
        if mark.is_some() {
            self.fail(namespace, mark, error.code(), &text);
        }
        let ending = match error {
            AuthError::Revoked => Ending::Revoked,
            AuthError::Inactive => Ending::Inactive,
            AuthError::Store(_) => Ending::TryAgain,
            _ => Ending::Unauthenticated,
        };
        if let Some(at) = self
            .slots
            .iter()
            .position(|slot| slot.namespace == namespace)
        {
            self.leave(at);
        }
        self.part(namespace, ending)
    }

    fn tell_first_states(&mut self, index: usize) {
        let Some(slot) = self.slots.get_mut(index) else {
            return;
        };
        let namespace = slot.namespace;
        if !slot.prepare_states(&self.app) {
            return;
        }
        for event in slot.drain(1) {
            self.send_event(namespace, &event);
            self.count_told(namespace);
        }
    }

    /// A session that entered is live: it takes its place, and is told the first words.
    fn welcome(&mut self, index: usize, entered: Entered) {
        self.seat(index, &entered);
        self.greet(index, &entered);
    }

    /// The place is that of a session which entered, and leaves with it.
    fn seat(&mut self, index: usize, entered: &Entered) {
        let Some(slot) = self.slots.get_mut(index) else {
            return;
        };
        slot.begin(entered.session.clone(), entered.start.after);
        if let Some(feed) = slot.feed() {
            feed.was_told_first(entered.pending.iter().filter_map(Event::id).collect());
        }
        self.permit.proven();
    }

    /// The first words (contract 4.4).
    pub(super) fn greet(&mut self, index: usize, entered: &Entered) {
        let Some(slot) = self.slots.get(index) else {
            return;
        };
        let namespace = slot.namespace;
        self.desk()
            .carrier
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
        let words = entered.first_words();
        match self.codec {
            Codec::Json => self.tell(namespace, &Kind::CONNECTION, &words),
            Codec::SocketIo(_) => self.tell(namespace, &Kind::CONNECTED, &words),
            Codec::Sse => {
                let words = NewEvent::new(Kind::CONNECTION, &words, Vec::new());
                let mut words = Event::ephemeral(words, Timestamp::now());
                // An EventSource that hears nothing more comes back with this one's id, unless there
                // is more that it must hear.
                if entered.pending.is_empty() {
                    words = words.with_position(entered.position());
                }
                self.send_event(namespace, &words);
                self.count_told(namespace);
            }
        }
        if let Some(lost) = entered.resync_required() {
            self.tell(namespace, &Kind::RESYNC_REQUIRED, &lost);
        }
        if let Some(event) = &entered.granted {
            self.send_event(namespace, event);
            self.count_told(namespace);
        }
        // A session without a position gets the snapshots before what waits for it (contract 4.4).
        self.tell_first_states(index);
        for event in &entered.pending {
            self.send_event(namespace, event);
            self.count_told(namespace);
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
