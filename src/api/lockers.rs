//! `/api/lockers`: lockers over HTTP (`docs/protocol.md#lockers`).

use std::sync::Arc;

use hyper::StatusCode;
use rusqlite::Connection;
use serde::Serialize;
use wallcast_core::clock::Timestamp;
use wallcast_core::ids::{ClientId, KioskId, LockerId};

use crate::app::App;
use crate::clients;
use crate::http::{ApiError, Reply, Request, page};
use crate::lockers::{self, Locker, LockerError, LockerPatch, LockerState, LockerViewer};

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct LockerJson {
    id: LockerId,
    kiosk_id: KioskId,
    state: LockerState,
    created_at: Timestamp,
    updated_at: Timestamp,
}

impl From<Locker> for LockerJson {
    fn from(locker: Locker) -> Self {
        Self {
            id: locker.id,
            kiosk_id: locker.kiosk_id,
            state: locker.state,
            created_at: locker.created_at,
            updated_at: locker.updated_at,
        }
    }
}

impl From<LockerError> for ApiError {
    fn from(error: LockerError) -> Self {
        match error {
            LockerError::Taken(_) => {
                Self::new(StatusCode::CONFLICT, "already_exists", error.to_string()).of_field("id")
            }
            LockerError::Unknown => Self::not_found("locker"),
            LockerError::Mirrored => Self::new(StatusCode::CONFLICT, "mirrored", error.to_string()),
            LockerError::Store(error) => error.into(),
        }
    }
}

/// `GET /api/lockers`: all lockers for an admin; for a client those of its kiosk and the locks of its enabled areas.
pub(super) async fn list(app: Arc<App>, request: Request) -> Result<Reply, ApiError> {
    let limit = request.limit()?;
    let after: Option<String> = page::cursor(&request)?;
    let client = request.principal()?.client_id().cloned();
    let lockers = app
        .store
        .read(move |db| {
            let viewer = client.map(|id| viewer(db, &id)).transpose()?;
            Ok::<_, ApiError>(lockers::page(
                db,
                viewer.as_ref(),
                after.as_deref(),
                limit + 1,
            )?)
        })
        .await?;
    let key = |locker: &Locker| locker.id.to_string();
    Ok(page::reply(
        "lockers",
        lockers,
        limit,
        key,
        LockerJson::from,
    ))
}

/// `GET /api/lockers/{id}`: a client gets 403 for lockers that it cannot list, whether they exist or not.
pub(super) async fn get(app: Arc<App>, request: Request) -> Result<Reply, ApiError> {
    let client = request.principal()?.client_id().cloned();
    let id = locker_id(&request);
    let locker = app
        .store
        .read(move |db| {
            let found = match &id {
                Ok(id) => lockers::find(db, id)?,
                Err(_) => None,
            };
            let Some(client) = client else {
                return found.ok_or_else(|| ApiError::not_found("locker"));
            };
            match found {
                Some(locker) if lockers::is_visible(db, &viewer(db, &client)?, &locker.id)? => {
                    Ok(locker)
                }
                _ => Err(ApiError::forbidden()),
            }
        })
        .await?;
    Ok(Reply::ok(&LockerJson::from(locker)))
}

/// `POST /api/lockers` `{id?, kioskId, state}`
pub(super) async fn create(app: Arc<App>, request: Request) -> Result<Reply, ApiError> {
    let actor = request.actor()?;
    let mut body = request.fields()?;
    let id = body.optional("id")?;
    let kiosk_id = body.required("kioskId")?;
    let state = body.required("state")?;
    request
        .write(&app.store, move |tx| {
            let locker = lockers::create(tx, id, kiosk_id, state, &actor)?;
            Ok::<_, ApiError>(Reply::created(&LockerJson::from(locker)))
        })
        .await
}

/// `PATCH /api/lockers/{id}` `{state?, kioskId?}`
pub(super) async fn change(app: Arc<App>, request: Request) -> Result<Reply, ApiError> {
    let actor = request.actor()?;
    let id = locker_id(&request)?;
    let mut body = request.fields()?;
    let patch = LockerPatch {
        state: body.optional("state")?,
        kiosk_id: body.optional("kioskId")?,
    };
    request
        .write(&app.store, move |tx| {
            let locker = lockers::change(tx, &id, patch, &actor)?;
            Ok::<_, ApiError>(Reply::ok(&LockerJson::from(locker)))
        })
        .await
}

pub(super) async fn delete(app: Arc<App>, request: Request) -> Result<Reply, ApiError> {
    let actor = request.actor()?;
    let id = locker_id(&request)?;
    request
        .write(&app.store, move |tx| {
            lockers::delete(tx, &id, &actor)?;
            Ok::<_, ApiError>(Reply::no_content())
        })
        .await
}

/// The client and the kiosk whose lockers it may see.
fn viewer(db: &Connection, client: &ClientId) -> Result<LockerViewer, ApiError> {
    let client = clients::expect(db, client)?;
    Ok(LockerViewer {
        kiosk: client.kiosk(),
        client: client.id,
    })
}

fn locker_id(request: &Request) -> Result<LockerId, ApiError> {
    request
        .parameter("id")
        .parse()
        .map_err(|_| ApiError::not_found("locker"))
}
