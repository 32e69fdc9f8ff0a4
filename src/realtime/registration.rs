//! Entering the hub: proof, snapshot and registration in one moment between two commits.

use std::sync::Arc;

use rusqlite::Connection;
use serde::Serialize;
use serde_json::{Value, json};

use super::command::Authenticate;
use super::pid::Pid;
use super::position::{HistoryBounds, Outcome, ResumeHint, Start};
use super::subscription;
use crate::access::entitlement;
use crate::app::App;
use crate::areas::{self, Area, AreaJson};
use crate::authentication::{self, AuthError, Credential, Grant};
use crate::clients::{Acks, ClientError};
use crate::commands;
use crate::messages::{self, Participant};
use crate::{pairing, rooms};
use wallcast_core::auth::{Principal, Role, Signer, Subject};
use wallcast_core::clock::Timestamp;
use wallcast_core::event::{Epoch, Event, EventId, EventType, Namespace, Position};
use wallcast_core::hub::{ConnectionWriter, Dialect, Session};
use wallcast_core::ids::{ConnectionId, UserId};

/// A waiting tablet's socket outlives its token by this: at the token's end the writer tells it
/// `pairing_expired` and closes it, which the token's own end would forestall.
const EXPIRY_GRACE_SECONDS: i64 = 5;

/// What identifies a request.
#[derive(Clone, Debug)]
pub(super) enum Proof {
    /// A credential that the store must confirm.
    Credential(Credential),
    /// An admin whom the listener itself identified.
    LocalAdmin(String),
}

/// The session that asks to enter.
pub(super) struct ConnectRequest {
    pub(super) id: ConnectionId,
    pub(super) namespace: Namespace,
    pub(super) dialect: Dialect,
    pub(super) address: Option<std::net::IpAddr>,
    pub(super) writer: Arc<ConnectionWriter>,
    pub(super) hint: ResumeHint,
}

/// A session that is in, and what it must be told first.
pub(super) struct RegisteredSession {
    pub(super) session: Arc<Session>,
    pub(super) principal: Principal,
    /// Where it begins.
    pub(super) start: Start,
    bounds: HistoryBounds,
    areas: Vec<Area>,
    /// A waiting tablet's grant, when it was given before the socket opened.
    pub(super) granted: Option<Event>,
    /// Commands and messages that wait for a session which brings no position (contract 4.4), or none
    /// that proves that it was told of them.
    pub(super) pending: Vec<Event>,
}

/// What a session is told first.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Welcome<'a> {
    assigned_areas: Vec<AreaJson>,
    client_id: &'a str,
    #[serde(rename = "client_id")]
    own_id: &'a str,
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

/// Lets a session in. From the moment of the snapshot on, every event of its topics is queued for
/// it or, where it goes on from an earlier one, left to the history: nothing is missed and nothing
/// comes twice.
///
/// # Errors
/// Why the proof does not stand.
pub(super) async fn enter(
    app: &App,
    proof: Proof,
    request: ConnectRequest,
) -> Result<RegisteredSession, AuthError> {
    enter_as(app, proof, request, Authenticate::default()).await
}

/// Lets a session in if what it says of itself agrees with its token (contract 4.5).
///
/// # Errors
/// Why the proof does not stand.
pub(super) async fn enter_as(
    app: &App,
    proof: Proof,
    request: ConnectRequest,
    claimed: Authenticate,
) -> Result<RegisteredSession, AuthError> {
    let presented = match &proof {
        Proof::Credential(credential) => Some(authentication::present(&app.signer, credential)?),
        Proof::LocalAdmin(_) => None,
    };
    let (pairings, signer, hub) = (app.pairings.clone(), app.signer.clone(), app.hub.clone());
    let (acks, entities) = (app.acks.clone(), app.entities.clone());
    let epoch = app.store.epoch().clone();
    let max_sessions = app.config.max_sessions_per_client;
    let (entered, first_use) = app
        .store
        .try_read_inline(move |db, last_event| {
            let now = Timestamp::now();
            let grant = match (&presented, proof) {
                (Some(presented), _) => {
                    authentication::authenticate(db, &pairings, presented, now)?
                }
                (None, Proof::LocalAdmin(id)) => {
                    let id = id.parse().unwrap_or_else(|_| UserId::random());
                    Grant {
                        principal: Principal::local_admin(id),
                        first_use: None,
                    }
                }
                (None, Proof::Credential(_)) => return Err(AuthError::Missing),
            };
            let mut principal = grant.principal;
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
            let granted = match &principal.subject {
                Subject::Pairing(id) => pairing::find_completed(db, &signer, id, now)
                    .map_err(not_granted)?
                    .map(|done| Event::ephemeral(pairing::completed_event(&done, now), now)),
                _ => None,
            };
            let bounds = HistoryBounds::read(db, epoch, last_event)?;
            let start =
                request
                    .hint
                    .resolve(&signer, &principal.subject, request.namespace, &bounds);
            let start = match &start.continues {
                Some((id, _)) if hub.has_replay_gap(id, start.after) => {
                    Start::fresh(Outcome::Fresh, &bounds)
                }
                _ => start,
            };
            let pending = match start.sends_pending {
                true => waiting(
                    db,
                    &request,
                    &principal.subject,
                    &bounds,
                    start.after,
                    &acks,
                )?,
                false => Vec::new(),
            };
            let id = start.continues.as_ref().map(|(id, _)| id.clone());
            let session = Arc::new(Session::new(
                id.unwrap_or(request.id),
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
            let rooms = match start.continues {
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
                    granted,
                    pending,
                },
                grant.first_use,
            ))
        })
        .await?;
    app.note_first_use(first_use).await;
    if app.hub.is_in_rooms(&entered.session) {
        let id = entered.session.id().clone();
        rooms::record_session_state(app.store.clone(), app.hub.clone(), id).await;
    }
    Ok(entered)
}

/// What waits for a session that begins after `after`, and came no later: pending commands, then
/// undelivered messages.
fn waiting(
    db: &Connection,
    request: &ConnectRequest,
    subject: &Subject,
    bounds: &HistoryBounds,
    after: EventId,
    acks: &Acks,
) -> rusqlite::Result<Vec<Event>> {
    let (namespace, epoch) = (request.namespace, &bounds.epoch);
    let mut waiting = Vec::new();
    if let Subject::Client(id) = subject
        && EventType::COMMAND.is_delivered_in(namespace)
    {
        waiting = commands::pending(db, id, acks, epoch, after, Timestamp::now())?;
    }
    if let Some(participant) = Participant::of(subject)
        && EventType::NEW_MESSAGE.is_delivered_in(namespace)
    {
        let oldest = bounds.oldest;
        waiting.extend(messages::undelivered(
            db,
            &participant,
            epoch,
            oldest,
            after,
        )?);
    }
    Ok(in_one_piece(waiting, request.dialect, epoch, after))
}

/// Only with the last of what waits does the hearer stand at `after`: whoever loses its connection
/// amid them comes back as from before, and is told again.
fn in_one_piece(
    waiting: Vec<Event>,
    dialect: Dialect,
    epoch: &Epoch,
    after: EventId,
) -> Vec<Event> {
    let beyond = waiting.len();
    let place = |(index, event): (usize, Event)| {
        let before = event.id().map(|id| id.min(after.previous()));
        let id = match dialect {
            _ if index + 1 == beyond => Some(after),
            // A stream that comes back with an earlier id would be told all since then.
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
    waiting.into_iter().enumerate().map(place).collect()
}

/// Has an open session go on with another token of the same principal; none if it is another's.
///
/// # Errors
/// Why the token does not stand.
pub(super) async fn renew(
    app: &App,
    credential: &Credential,
    session: Arc<Session>,
    claimed: Authenticate,
) -> Result<Option<Principal>, AuthError> {
    let presented = authentication::present(&app.signer, credential)?;
    let pairings = app.pairings.clone();
    let (renewed, first_use) = app
        .store
        .try_read_inline(move |db, _| {
            let grant = authentication::authenticate(db, &pairings, &presented, Timestamp::now())?;
            claimed.agrees_with(&grant.principal)?;
            if !session.principal().has_same_access_as(&grant.principal) {
                return Ok::<_, AuthError>((None, None));
            }
            session.set_principal(grant.principal.clone());
            Ok((Some(grant.principal), grant.first_use))
        })
        .await?;
    app.note_first_use(first_use).await;
    Ok(renewed)
}

fn not_granted(error: pairing::PairingError) -> AuthError {
    match error {
        pairing::PairingError::Client(ClientError::Store(error)) => error.into(),
        _ => AuthError::InvalidToken,
    }
}

impl RegisteredSession {
    /// `connected` or `connection` (contract 4.4).
    pub(super) fn welcome_data(&self) -> Welcome<'_> {
        let connection = self.session.id();
        let client = match self.principal.client_id() {
            Some(id) => id.as_str(),
            None => connection.as_str(),
        };
        let areas = self.areas.iter().cloned();
        Welcome {
            assigned_areas: areas.map(AreaJson::for_client).collect(),
            client_id: client,
            own_id: client,
            connection_id: connection,
            epoch: self.bounds.epoch.as_str(),
            last_event_id: self.bounds.last,
            message: "Connected to Wallcast",
            recovered: self.start.outcome == Outcome::Recovered,
            role: self.principal.role(),
            status: "connected",
            timestamp: Timestamp::now(),
            user_id: self.principal.subject.id(),
        }
    }

    /// After which event it begins.
    pub(super) fn position(&self) -> Position {
        Position {
            epoch: self.bounds.epoch.clone(),
            id: self.start.after,
        }
    }

    /// What it may come back with (contract 4.1): the `pid` that it came with, or a new one.
    pub(super) fn pid(&self, signer: &Signer) -> String {
        match &self.start.continues {
            Some((_, pid)) => pid.clone(),
            None => Pid {
                id: self.session.id().clone(),
                epoch: self.bounds.epoch.clone(),
                base: self.start.after,
            }
            .seal(signer, self.session.subject(), self.session.namespace()),
        }
    }

    /// `resync_required`, if what it missed cannot be told.
    pub(super) fn resync_required(&self) -> Option<Value> {
        match self.start.outcome {
            Outcome::Lost(gap) => Some(self.bounds.resync_required(gap)),
            Outcome::Fresh | Outcome::Recovered => None,
        }
    }

    /// `authenticated`, for a session that authenticates after it was opened (contract 4.4).
    pub(super) fn authenticated(&self) -> Value {
        authenticated(&self.principal, self.session.id())
    }
}

/// `authenticated` `{success, clientId, userId, email, role, timestamp}`.
pub(super) fn authenticated(principal: &Principal, connection: &ConnectionId) -> Value {
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
