//! Registers a session with the hub. Authentication, resume position, initial data and registration happen in one
//! read between two commits: an event is either in the initial data or in the session's outbox, never in both.

use std::sync::Arc;

use rusqlite::Connection;
use serde::Serialize;
use serde_json::{Value, json};
use wallcast_core::auth::{Principal, Role, Signer, Subject};
use wallcast_core::clock::Timestamp;
use wallcast_core::event::{Epoch, Event, EventId, EventType, Namespace, Position};
use wallcast_core::hub::{ConnectionWriter, Dialect, Session};
use wallcast_core::ids::{ConnectionId, UserId};

use super::command::Authenticate;
use super::pid::Pid;
use super::position::{HistoryBounds, ResumeHint, ResumeOutcome, StartPoint};
use super::subscription;
use crate::access::entitlement;
use crate::app::App;
use crate::areas::{self, Area, AreaJson};
use crate::authentication::{self, AuthError, Authenticated, Credential};
use crate::clients::{Acks, ClientError};
use crate::commands;
use crate::messages::{self, Participant};
use crate::{pairing, rooms};

/// How long the session of an unpaired tablet outlives its pairing token. When the token expires, the pairing
/// expiry job publishes `pairing_expired` and ends the session; without the grace the connection's own expiry
/// timer could close it before that event.
const EXPIRY_GRACE_SECONDS: i64 = 5;

/// How a session is authenticated.
#[derive(Clone, Debug)]
pub(super) enum AuthMethod {
    /// A token or session id, to be checked against the store.
    Credential(Credential),
    /// The id of an admin whom the listener has authenticated: ingress or the command line's socket.
    LocalAdmin(String),
}

/// A session that asks to be registered.
pub(super) struct ConnectRequest {
    pub(super) id: ConnectionId,
    pub(super) namespace: Namespace,
    pub(super) dialect: Dialect,
    pub(super) address: Option<std::net::IpAddr>,
    pub(super) writer: Arc<ConnectionWriter>,
    pub(super) hint: ResumeHint,
}

/// A session that is registered with the hub, and the data of its first events.
pub(super) struct RegisteredSession {
    pub(super) session: Arc<Session>,
    pub(super) principal: Principal,
    pub(super) start: StartPoint,
    bounds: HistoryBounds,
    areas: Vec<Area>,
    /// An unpaired tablet's `pairing_completed`, if the pairing was completed before its socket opened.
    pub(super) pairing_completed: Option<Event>,
    /// Pending commands and undelivered messages, for a session whose resume position does not prove that it
    /// received them (`docs/protocol.md#welcome`).
    pub(super) pending: Vec<Event>,
}

/// The data of `connected` and `connection`.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct WelcomeData<'a> {
    assigned_areas: Vec<AreaJson>,
    client_id: &'a str,
    /// The same as `clientId`; both spellings are part of the protocol.
    #[serde(rename = "client_id")]
    client_id_snake_case: &'a str,
    connection_id: &'a ConnectionId,
    epoch: &'a str,
    last_event_id: EventId,
    message: &'static str,
    recovered: bool,
    role: Role,
    status: &'static str,
    timestamp: Timestamp,
    user_id: &'a str,
}

/// Authenticates and registers a session. Later events of its topics are queued in its outbox; if it resumes from
/// an earlier event, it replays them from history. It misses none and gets none twice.
///
/// # Errors
/// Why authentication failed.
pub(super) async fn register(
    app: &App,
    auth_method: AuthMethod,
    request: ConnectRequest,
) -> Result<RegisteredSession, AuthError> {
    register_with_claims(app, auth_method, request, Authenticate::default()).await
}

/// [`register`], if the fields that `authenticate` carries beside the token agree with the token.
///
/// # Errors
/// Why authentication failed.
pub(super) async fn register_with_claims(
    app: &App,
    auth_method: AuthMethod,
    request: ConnectRequest,
    claimed: Authenticate,
) -> Result<RegisteredSession, AuthError> {
    let verified = match &auth_method {
        AuthMethod::Credential(credential) => {
            Some(authentication::verify(&app.signer, credential)?)
        }
        AuthMethod::LocalAdmin(_) => None,
    };
    let (pairings, signer, hub) = (app.pairings.clone(), app.signer.clone(), app.hub.clone());
    let (acks, entities) = (app.acks.clone(), app.entities.clone());
    let epoch = app.store.epoch().clone();
    let max_sessions = app.config.max_sessions_per_client;
    let (registered, first_use) = app
        .store
        .try_read_inline(move |db, last_event| {
            let now = Timestamp::now();
            let authenticated = match (&verified, auth_method) {
                (Some(verified), _) => authentication::authenticate(db, &pairings, verified, now)?,
                (None, AuthMethod::LocalAdmin(id)) => {
                    let id = id.parse().unwrap_or_else(|_| UserId::random());
                    Authenticated {
                        principal: Principal::local_admin(id),
                        first_use: None,
                    }
                }
                (None, AuthMethod::Credential(_)) => return Err(AuthError::Missing),
            };
            let mut principal = authenticated.principal;
            claimed.agrees_with(&principal)?;
            if let Subject::Pairing(_) = &principal.subject {
                principal.expires_at = principal
                    .expires_at
                    .map(|at| at.plus_seconds(EXPIRY_GRACE_SECONDS));
            }
            let areas = match &principal.subject {
                Subject::Client(id) => areas::of_client(db, id)?,
                _ => Vec::new(),
            };
            let pairing_completed = match &principal.subject {
                Subject::Pairing(id) => pairing::find_completed(db, &signer, id, now)
                    .map_err(pairing_error)?
                    .map(|completed| {
                        Event::ephemeral(pairing::completed_event(&completed, now), now)
                    }),
                _ => None,
            };
            let bounds = HistoryBounds::read(db, epoch, last_event)?;
            let start =
                request
                    .hint
                    .resolve(&signer, &principal.subject, request.namespace, &bounds);
            let start = match &start.resumed {
                Some((id, _)) if hub.has_replay_gap(id, start.after) => {
                    StartPoint::fresh(ResumeOutcome::Fresh, &bounds)
                }
                _ => start,
            };
            let pending = match start.sends_pending {
                true => pending_events(
                    db,
                    &request,
                    &principal.subject,
                    &bounds,
                    start.after,
                    &acks,
                )?,
                false => Vec::new(),
            };
            let resumed_id = start.resumed.as_ref().map(|(id, _)| id.clone());
            let session = Arc::new(Session::new(
                resumed_id.unwrap_or(request.id),
                principal.clone(),
                request.namespace,
                request.dialect,
                request.address,
                request.writer,
            ));
            if entities.receives_states(session.subject())
                && EventType::ENTITY_STATES.is_delivered_in(request.namespace)
            {
                session.outbox().request_snapshot();
            }
            let (after, last) = (start.after, last_event);
            let rooms = match start.resumed {
                Some(_) => entitlement::rooms(db, session.id(), last)?,
                None => Vec::new(),
            };
            subscription::register(&hub, db, &session, &rooms, after, last, max_sessions)?;
            Ok((
                RegisteredSession {
                    session,
                    principal,
                    start,
                    bounds,
                    areas,
                    pairing_completed,
                    pending,
                },
                authenticated.first_use,
            ))
        })
        .await?;
    app.record_first_use(first_use).await;
    if app.hub.is_in_rooms(&registered.session) {
        let id = registered.session.id().clone();
        rooms::record_session_state(app.store.clone(), app.hub.clone(), id).await;
    }
    Ok(registered)
}

/// Pending commands, then undelivered messages, published no later than `after`. Replay and the outbox provide
/// the later ones.
fn pending_events(
    db: &Connection,
    request: &ConnectRequest,
    subject: &Subject,
    bounds: &HistoryBounds,
    after: EventId,
    acks: &Acks,
) -> rusqlite::Result<Vec<Event>> {
    let (namespace, epoch) = (request.namespace, &bounds.epoch);
    let mut pending = Vec::new();
    if let Subject::Client(id) = subject
        && EventType::COMMAND.is_delivered_in(namespace)
    {
        pending = commands::pending(db, id, acks, epoch, after, Timestamp::now())?;
    }
    if let Some(participant) = Participant::of(subject)
        && EventType::NEW_MESSAGE.is_delivered_in(namespace)
    {
        let oldest = bounds.oldest;
        pending.extend(messages::undelivered(
            db,
            &participant,
            epoch,
            oldest,
            after,
        )?);
    }
    Ok(with_positions(pending, request.dialect, epoch, after))
}

/// Gives pending events their resume positions. Only the last one moves the client's position to `after`, so a
/// client that disconnects before it gets all of them again.
fn with_positions(
    pending: Vec<Event>,
    dialect: Dialect,
    epoch: &Epoch,
    after: EventId,
) -> Vec<Event> {
    let count = pending.len();
    let with_position = |(index, event): (usize, Event)| {
        let before = event.id().map(|id| id.min(after.previous()));
        let id = match dialect {
            _ if index + 1 == count => Some(after),
            // A stream that reconnects with an earlier id would get everything since then again.
            Dialect::Sse => None,
            Dialect::SocketIo | Dialect::Json => before,
        };
        match id {
            Some(id) => event.with_position(Position {
                epoch: epoch.clone(),
                id,
            }),
            None => event.without_position(),
        }
    };
    pending.into_iter().enumerate().map(with_position).collect()
}

/// Gives a live session a new token. Returns none, and changes nothing, if the token is of another principal or
/// grants other access.
///
/// # Errors
/// Why the token is not valid.
pub(super) async fn renew(
    app: &App,
    credential: &Credential,
    session: Arc<Session>,
    claimed: Authenticate,
) -> Result<Option<Principal>, AuthError> {
    let verified = authentication::verify(&app.signer, credential)?;
    let pairings = app.pairings.clone();
    let (renewed, first_use) = app
        .store
        .try_read_inline(move |db, _| {
            let authenticated =
                authentication::authenticate(db, &pairings, &verified, Timestamp::now())?;
            let principal = authenticated.principal;
            claimed.agrees_with(&principal)?;
            if !session.principal().has_same_access_as(&principal) {
                return Ok::<_, AuthError>((None, None));
            }
            session.set_principal(principal.clone());
            Ok((Some(principal), authenticated.first_use))
        })
        .await?;
    app.record_first_use(first_use).await;
    Ok(renewed)
}

fn pairing_error(error: pairing::PairingError) -> AuthError {
    match error {
        pairing::PairingError::Client(ClientError::Store(error)) => error.into(),
        _ => AuthError::InvalidToken,
    }
}

impl RegisteredSession {
    /// The data of `connected` and `connection` (`docs/protocol.md#welcome`).
    pub(super) fn welcome_data(&self) -> WelcomeData<'_> {
        let connection = self.session.id();
        let client = match self.principal.client_id() {
            Some(id) => id.as_str(),
            None => connection.as_str(),
        };
        let areas = self.areas.iter().cloned();
        WelcomeData {
            assigned_areas: areas.map(AreaJson::for_client).collect(),
            client_id: client,
            client_id_snake_case: client,
            connection_id: connection,
            epoch: self.bounds.epoch.as_str(),
            last_event_id: self.bounds.last,
            message: "Connected to Wallcast",
            recovered: self.start.outcome == ResumeOutcome::Recovered,
            role: self.principal.role(),
            status: "connected",
            timestamp: Timestamp::now(),
            user_id: self.principal.subject.id(),
        }
    }

    /// The position after which the session's events begin.
    pub(super) fn position(&self) -> Position {
        Position {
            epoch: self.bounds.epoch.clone(),
            id: self.start.after,
        }
    }

    /// The `pid` with which the session can be resumed (`docs/protocol.md#connection-state-recovery`): the one
    /// that it resumed with, or a new one.
    pub(super) fn pid(&self, signer: &Signer) -> String {
        match &self.start.resumed {
            Some((_, pid)) => pid.clone(),
            None => Pid {
                id: self.session.id().clone(),
                epoch: self.bounds.epoch.clone(),
                base: self.start.after,
            }
            .seal(signer, self.session.subject(), self.session.namespace()),
        }
    }

    /// The data of `resync_required`, if the history cannot provide what the session missed.
    pub(super) fn resync_required(&self) -> Option<Value> {
        match self.start.outcome {
            ResumeOutcome::Lost(reason) => Some(self.bounds.resync_required(reason)),
            ResumeOutcome::Fresh | ResumeOutcome::Recovered => None,
        }
    }

    /// The data of `authenticated`, for a session that authenticates by message.
    pub(super) fn authenticated_data(&self) -> Value {
        authenticated_data(&self.principal, self.session.id())
    }
}

/// The data of `authenticated`: `{success, clientId, userId, email, role, timestamp}`.
pub(super) fn authenticated_data(principal: &Principal, connection: &ConnectionId) -> Value {
    let client = match principal.client_id() {
        Some(id) => id.as_str(),
        None => connection.as_str(),
    };
    json!({
        "success": true,
        "clientId": client,
        "userId": principal.subject.id(),
        "email": principal.email,
        "role": principal.role(),
        "timestamp": Timestamp::now(),
    })
}
