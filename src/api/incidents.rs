//! `/api/incidents`: incidents of the status board over HTTP (`docs/protocol.md#status-board`).

use std::collections::HashSet;
use std::sync::Arc;

use wallcast_core::ids::{IncidentId, ServiceId};

use crate::access::entitlement;
use crate::api::board::visible;
use crate::api::services::{audience, description};
use crate::app::App;
use crate::board::incidents::{
    self, Incident, IncidentJson, IncidentPatch, MAX_SERVICES, NewIncident,
};
use crate::board::{Audience, BoardError, Description, UpdateMessage, default_severity};
use crate::http::{ApiError, Fields, Reply, Request, page};

/// `GET /api/incidents`: all incidents for an admin, those of the caller's board for others.
pub(super) async fn list(app: Arc<App>, request: Request) -> Result<Reply, ApiError> {
    let view = entitlement::board(request.principal()?);
    let limit = request.limit()?;
    let after: i64 = page::cursor(&request)?.unwrap_or(0);
    let incidents = app
        .store
        .read(move |db| Ok::<_, ApiError>(incidents::page(db, &view, after, limit + 1)?))
        .await?;
    let key = |incident: &Incident| incident.place;
    Ok(page::reply(
        "incidents",
        incidents,
        limit,
        key,
        IncidentJson::from,
    ))
}

/// `GET /api/incidents/{id}`: 403 if the incident is not on the caller's board.
pub(super) async fn get(app: Arc<App>, request: Request) -> Result<Reply, ApiError> {
    let view = entitlement::board(request.principal()?);
    let id = incident_id(&request);
    let found = app
        .store
        .read(move |db| match id {
            Ok(id) => Ok::<_, ApiError>(incidents::find(db, &id)?),
            Err(_) => Ok(None),
        })
        .await?;
    let unknown = BoardError::UnknownIncident;
    let incident = visible(&view, found, |incident| &incident.audience, unknown)?;
    Ok(Reply::ok(&IncidentJson::from(incident)))
}

pub(super) async fn create(app: Arc<App>, request: Request) -> Result<Reply, ApiError> {
    let actor = request.actor()?;
    let mut body = request.fields()?;
    let new = NewIncident {
        title: body.required("title")?,
        description: body
            .optional("description")?
            .unwrap_or_else(Description::empty),
        status: body.optional("status")?.unwrap_or_default(),
        severity: body.optional("severity")?.unwrap_or_else(default_severity),
        service_ids: service_ids(&mut body)?.unwrap_or_default(),
        audience: audience(&mut body)?.apply(&Audience::default()),
    };
    request
        .write(&app.store, move |tx| {
            let incident = incidents::create(tx, new, &actor)?;
            Ok::<_, ApiError>(Reply::created(&IncidentJson::from(incident)))
        })
        .await
}

/// `PUT` and `PATCH /api/incidents/{id}`: both keep the fields that the body omits.
pub(super) async fn change(app: Arc<App>, request: Request) -> Result<Reply, ApiError> {
    let actor = request.actor()?;
    let mut body = request.fields()?;
    let patch = IncidentPatch {
        title: body.optional("title")?,
        description: description(&mut body)?,
        status: body.optional("status")?,
        severity: body.optional("severity")?,
        service_ids: service_ids(&mut body)?,
        audience: audience(&mut body)?,
    };
    let id = incident_id(&request)?;
    request
        .write(&app.store, move |tx| {
            let incident = incidents::change(tx, &id, patch, &actor)?;
            Ok::<_, ApiError>(Reply::ok(&IncidentJson::from(incident)))
        })
        .await
}

/// `POST /api/incidents/{id}/updates` `{message, status?}`: adds an update and replies with the incident.
pub(super) async fn add_update(app: Arc<App>, request: Request) -> Result<Reply, ApiError> {
    let actor = request.actor()?;
    let mut body = request.fields()?;
    let message: UpdateMessage = body.required("message")?;
    let status = body.optional("status")?;
    let id = incident_id(&request)?;
    request
        .write(&app.store, move |tx| {
            let incident = incidents::add_update(tx, &id, message, status, &actor)?;
            Ok::<_, ApiError>(Reply::created(&IncidentJson::from(incident)))
        })
        .await
}

pub(super) async fn delete(app: Arc<App>, request: Request) -> Result<Reply, ApiError> {
    let actor = request.actor()?;
    let id = incident_id(&request)?;
    request
        .write(&app.store, move |tx| {
            incidents::delete(tx, &id, &actor)?;
            Ok::<_, ApiError>(Reply::no_content())
        })
        .await
}

fn service_ids(body: &mut Fields) -> Result<Option<Vec<ServiceId>>, ApiError> {
    let Some(mut ids) = body.optional::<Vec<ServiceId>>("serviceIds")? else {
        return Ok(None);
    };
    let mut seen = HashSet::new();
    ids.retain(|id| seen.insert(id.clone()));
    if ids.len() > MAX_SERVICES {
        let message = format!("`serviceIds` must have at most {MAX_SERVICES} services");
        return Err(ApiError::field("serviceIds", message));
    }
    Ok(Some(ids))
}

fn incident_id(request: &Request) -> Result<IncidentId, ApiError> {
    let id = request.parameter("id").parse();
    id.map_err(|_| BoardError::UnknownIncident.into())
}
