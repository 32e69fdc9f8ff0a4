//! A session's place in its connection: not proven yet, or live in the hub; and what it does with
//! the commands that come in.

use std::sync::Arc;
use std::time::Duration;

use serde_json::value::RawValue;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::codec::{Codec, Message, RequestMark};
use super::command::{Authenticate, Command};
use super::connection::{Connection, Parting};
use super::entry::{self, Entered, Proof};
use crate::auth::{AuthError, Credential, Principal, Subject};
use crate::clock::Timestamp;
use crate::event::{Kind, Namespace};
use crate::hub::{Drained, Ending, Hub, Session};
use crate::ids::ConnectionId;
use crate::protocol::socketio;
use crate::server;

/// The largest message before a token was proven (contract section 8).
pub(super) const MAX_UNPROVEN_MESSAGE: usize = 2048;

/// How long `pairing_expired` may take to reach a tablet whose request has just ended.
const PAIRING_GRACE_SECONDS: i64 = 5;

/// A session's place.
pub(super) struct Slot {
    pub(super) namespace: Namespace,
    pub(super) id: ConnectionId,
    pub(super) state: SlotState,
}

pub(super) enum SlotState {
    /// It must authenticate.
    Waiting,
    /// It is in the hub.
    Live(Arc<Session>),
}

impl Slot {
    pub(super) fn is_live(&self) -> bool {
        matches!(self.state, SlotState::Live(_))
    }

    /// What its outbox has, at most `limit` events; none while it waits.
    pub(super) fn drain(&self, limit: usize) -> Option<Drained> {
        match &self.state {
            SlotState::Live(session) => Some(session.outbox().drain(limit)),
            SlotState::Waiting => None,
        }
    }

    /// Takes the session out of the hub.
    pub(super) fn leave(self, hub: &Hub) {
        if let SlotState::Live(session) = self.state {
            hub.unregister(&session);
        }
    }

    /// When its token ends.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let left = self.expires_at()?.unix_ms() - Timestamp::now().unix_ms();
        // A day at a time: the clock may be set meanwhile.
        let wait = Duration::from_millis(u64::try_from(left).unwrap_or(0));
        Some(Instant::now() + wait.min(Duration::from_secs(86_400)))
    }

    pub(super) fn has_expired(&self) -> bool {
        self.expires_at().is_some_and(|at| at <= Timestamp::now())
    }

    /// Ends it because its token has (contract 6.2: 4401).
    pub(super) fn expire(&self) {
        if let SlotState::Live(session) = &self.state {
            session.end(Ending::Unauthenticated, None);
        }
    }

    fn expires_at(&self) -> Option<Timestamp> {
        match &self.state {
            SlotState::Live(session) => {
                let principal = session.principal();
                let grace = match principal.subject {
                    // The desk ends it at the same moment and tells it so; this is the second net.
                    Subject::Pairing(_) => PAIRING_GRACE_SECONDS,
                    _ => 0,
                };
                principal.expires_at.map(|at| at.plus_seconds(grace))
            }
            SlotState::Waiting => None,
        }
    }
}

/// A failed request's answer, and `error`'s data (contract 4.2).
pub(super) fn failure(code: &str, message: &str) -> Value {
    json!({
        "success": false,
        "error": message,
        "message": message,
        "code": code,
        "timestamp": Timestamp::now(),
    })
}

impl Connection {
    /// Opens the one session of a JSON WebSocket.
    pub(super) async fn open_json(&mut self) -> Result<(), Parting> {
        let (id, namespace) = (ConnectionId::random(), self.handshake.namespace);
        let Some(proof) = self.handshake.proof() else {
            self.slots.push(Slot {
                namespace,
                id,
                state: SlotState::Waiting,
            });
            return Ok(());
        };
        match entry::enter(&self.app, proof, self.newcomer(&id, namespace)).await {
            Ok(entered) => {
                self.slots.push(Slot {
                    namespace,
                    id,
                    state: SlotState::Waiting,
                });
                self.welcome(self.slots.len() - 1, entered);
                Ok(())
            }
            // The token fell between the handshake and here.
            Err(error) => Err(self.refuse_token(namespace, &error)),
        }
    }

    /// Socket.IO's CONNECT (protocol v5): proves the token that it brings, else the handshake's;
    /// without any the session must authenticate by message.
    pub(super) async fn connect(&mut self, path: &str, auth: Option<&RawValue>) {
        let Some(namespace) = Namespace::from_path(path) else {
            self.carrier
                .send(socketio::connect_error(path, "Invalid namespace", None));
            return;
        };
        if self.slots.iter().any(|slot| slot.namespace == namespace) {
            return;
        }
        let proof = match token_of(auth) {
            Ok(Some(credential)) => Some(Proof::Credential(credential)),
            Ok(None) => self.handshake.proof(),
            Err(error) => return self.connect_error(path, &error),
        };
        let id = ConnectionId::random();
        let Some(proof) = proof else {
            self.carrier
                .send(socketio::connect(path, id.as_str(), None));
            self.slots.push(Slot {
                namespace,
                id,
                state: SlotState::Waiting,
            });
            return;
        };
        match entry::enter(&self.app, proof, self.newcomer(&id, namespace)).await {
            Ok(entered) => {
                self.carrier
                    .send(socketio::connect(path, id.as_str(), None));
                self.slots.push(Slot {
                    namespace,
                    id,
                    state: SlotState::Waiting,
                });
                self.welcome(self.slots.len() - 1, entered);
            }
            Err(error) => self.connect_error(path, &error),
        }
    }

    fn connect_error(&mut self, path: &str, error: &AuthError) {
        tracing::info!(from = %self.peer.shown(), code = error.code(), "socket refused");
        let data = json!({ "code": error.code(), "message": error.to_string() });
        let data = crate::event::to_json(&data);
        self.carrier.send(socketio::connect_error(
            path,
            "Authentication error",
            Some(&data),
        ));
    }

    /// The session is live: the first words (contract 4.4).
    fn welcome(&mut self, index: usize, entered: Entered) {
        let Some(slot) = self.slots.get_mut(index) else {
            return;
        };
        slot.state = SlotState::Live(entered.session.clone());
        let namespace = slot.namespace;
        self.permit.proven();
        self.carrier
            .set_max_message(self.app.config.max_message_bytes);
        tracing::info!(
            who = %entered.principal.subject,
            from = %self.peer.shown(),
            dialect = entered.session.dialect().as_str(),
            namespace = namespace.path(),
            connection = %entered.session.id(),
            "connected"
        );
        let kind = match self.codec {
            Codec::Json => Kind::CONNECTION,
            Codec::SocketIo(_) => Kind::CONNECTED,
        };
        let words = entered.first_words(&self.app);
        self.tell(namespace, &kind, &words);
        if let Some(event) = &entered.granted {
            self.carrier.send(self.codec.event(namespace, event));
        }
    }

    /// Acts on a message of one session.
    pub(super) async fn act(&mut self, index: usize, message: Message) -> Result<(), Parting> {
        let Some(slot) = self.slots.get(index) else {
            return Ok(());
        };
        let (namespace, is_live) = (slot.namespace, slot.is_live());
        let mark = message.request;
        match Command::parse(&message.kind, message.fields) {
            Ok(Command::Authenticate(claimed)) => {
                self.authenticate(index, claimed, mark).await?;
            }
            Ok(Command::Ping) if is_live => {
                let now = json!({ "timestamp": Timestamp::now() });
                self.tell(namespace, &Kind::PONG, &now);
                self.succeed(namespace, mark, now);
            }
            Ok(_) | Err(_) if !is_live => {
                let message = "Authenticate first; nothing else is taken until then";
                self.fail(namespace, mark, "unauthenticated", message);
            }
            Ok(_) => {}
            Err(error) => self.fail(namespace, mark, error.code(), error.message()),
        }
        Ok(())
    }

    /// Over the rate: told, not acted on, and the socket stays (contract section 8).
    pub(super) fn refuse_rate(&mut self, index: usize, message: Message) {
        if let Some(slot) = self.slots.get(index) {
            let namespace = slot.namespace;
            let text = "Too many messages in a second; this one was not acted on";
            self.fail(namespace, message.request, "rate_limited", text);
        }
    }

    async fn authenticate(
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
        let live = match &slot.state {
            SlotState::Live(session) => Some(session.clone()),
            SlotState::Waiting => None,
        };
        let proven = match server::prove(&self.app, &credential).await {
            Ok(principal) => agrees(&claimed, &principal).map(|()| principal),
            Err(error) => Err(error),
        };
        let principal = match proven {
            Ok(principal) => principal,
            Err(error) => return Err(self.refuse_token(namespace, &error)),
        };
        if let Some(session) = live {
            if *session.subject() != principal.subject {
                let text = "This socket is somebody else's already; open another";
                self.fail(namespace, mark, "already_authenticated", text);
                return Ok(());
            }
            session.retoken(principal.clone());
            let words = entry::authenticated(&principal, &id);
            self.tell(namespace, &Kind::AUTHENTICATED, &words);
            self.succeed(namespace, mark, words);
            return Ok(());
        }
        let proof = Proof::Credential(credential);
        match entry::enter(&self.app, proof, self.newcomer(&id, namespace)).await {
            Ok(entered) => {
                let words = entered.authenticated();
                self.tell(namespace, &Kind::AUTHENTICATED, &words);
                self.succeed(namespace, mark, words);
                self.welcome(index, entered);
                Ok(())
            }
            Err(error) => Err(self.refuse_token(namespace, &error)),
        }
    }

    /// A wrong token by message: told in the words of both seeds, then the end (contract 3).
    fn refuse_token(&mut self, namespace: Namespace, error: &AuthError) -> Parting {
        tracing::info!(from = %self.peer.shown(), code = error.code(), "socket refused");
        let text = error.to_string();
        let data = json!({ "message": text, "code": error.code(), "timestamp": Timestamp::now() });
        self.tell(namespace, &Kind::AUTH_ERROR, &data);
        if let Codec::SocketIo(_) = self.codec {
            let data = json!({ "error": text, "timestamp": Timestamp::now() });
            self.tell(namespace, &Kind::AUTHENTICATION_ERROR, &data);
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
            self.slots.remove(at).leave(&self.app.hub);
        }
        self.part(namespace, ending)
    }

    fn succeed(&mut self, namespace: Namespace, mark: Option<RequestMark>, mut data: Value) {
        if let Some(mark) = mark {
            if let Some(data) = data.as_object_mut() {
                data.insert("success".to_owned(), true.into());
            }
            self.carrier.send(self.codec.reply(namespace, mark, &data));
        }
    }

    fn fail(&mut self, namespace: Namespace, mark: Option<RequestMark>, code: &str, text: &str) {
        match mark {
            Some(mark) => {
                let data = failure(code, text);
                self.carrier.send(self.codec.reply(namespace, mark, &data));
            }
            None => self.tell_error(namespace, code, text),
        }
    }
}

/// The token of Socket.IO's `auth` object, if it brings one.
fn token_of(auth: Option<&RawValue>) -> Result<Option<Credential>, AuthError> {
    let Some(auth) = auth else { return Ok(None) };
    let auth: Value = serde_json::from_str(auth.get()).map_err(|_| AuthError::InvalidToken)?;
    match auth.get("token") {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(token)) => Ok(Some(Credential::parse(token))),
        Some(_) => Err(AuthError::InvalidToken),
    }
}

/// What seed 2 says beside the token must say the same as the token (contract 4.5).
fn agrees(claimed: &Authenticate, principal: &Principal) -> Result<(), AuthError> {
    let differs = |said: &Option<String>, is: Option<&str>| {
        said.as_deref().is_some_and(|said| Some(said) != is)
    };
    let organization = principal.organization_id.as_ref().map(|id| id.as_str());
    let tenant = principal.tenant_id.as_ref().map(|id| id.as_str());
    let checks = [
        ("userId", &claimed.user_id, Some(principal.subject.id())),
        ("organizationId", &claimed.organization_id, organization),
        ("tenantId", &claimed.tenant_id, tenant),
        (
            "userRole",
            &claimed.user_role,
            Some(principal.role().as_str()),
        ),
    ];
    match checks.into_iter().find(|(_, said, is)| differs(said, *is)) {
        Some((field, _, _)) => Err(AuthError::Disagrees(field)),
        None => Ok(()),
    }
}
