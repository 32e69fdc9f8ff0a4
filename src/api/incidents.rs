//! `/api/incidents` (contract 6.5): the board's incidents over HTTP.

pub(crate) use std::collections::HashSet;
use std::sync::Arc;

use crate::access::entitlement;
use crate::api::board::revealed;
use crate::api::services::{audience, description};
use crate::app::App;
use crate::board::Severity;
use crate::board::incidents::{Incident, IncidentJson, IncidentPatch, MAX_SERVICES, NewIncident};
use crate::board::{Audience, BoardError, Description, Message};
use crate::http::{ApiError, Fields, Reply, Request, page};
use wallcast_core::ids::{IncidentId, ServiceId};

/// `GET /api/incidents`: all for an admin, those of its own board for anyone else.
pub(super) async fn list(app: Arc<App>, request: Request) -> Result<Reply, ApiError> {
    let view = entitlement::board(request.principal()?);
    let limit = request.limit()?;
    let after: i64 = page::cursor(&request)?.unwrap_or(0);
    let incidents = app
        .store
        .read(move |db| {
            Ok::<_, ApiError>(crate::board::incidents::page(db, &view, after, limit + 1)?)
        })
        .await?;
    let key = |incident: &Incident| incident.place;
    let show = IncidentJson::from;
    Ok(page::reply("incidents", incidents, limit, key, show))
}

/// `GET /api/incidents/{id}`: 403 for whoever's board does not show it.
pub(super) async fn get(app: Arc<App>, request: Request) -> Result<Reply, ApiError> {
    let view = entitlement::board(request.principal()?);
    let id = incident_id(&request);
    let found = app
        .store
        .read(move |db| match id {
            Ok(id) => Ok::<_, ApiError>(crate::board::incidents::find(db, &id)?),
            Err(_) => Ok(None),
        })
        .await?;
    let unknown = BoardError::UnknownIncident;
    let incident = revealed(&view, found, |incident| &incident.audience, unknown)?;
    Ok(Reply::ok(&IncidentJson::from(incident)))
}

/// `POST /api/incidents`
pub(super) async fn create(app: Arc<App>, request: Request) -> Result<Reply, ApiError> {
    let actor = request.actor()?;
    let mut body = request.fields()?;
    let new = NewIncident {
        title: body.required("title")?,
        description: body
            .optional("description")?
            .unwrap_or_else(Description::empty),
        status: body.optional("status")?.unwrap_or_default(),
        severity: body.optional("severity")?.unwrap_or_else(Severity::minor),
        service_ids: service_ids(&mut body)?.unwrap_or_default(),
        audience: audience(&mut body)?.apply(&Audience::default()),
    };
    request
        .write(&app.store, move |tx| {
            let incident = crate::board::incidents::create(tx, new, &actor)?;
            Ok::<_, ApiError>(Reply::created(&IncidentJson::from(incident)))
        })
        .await
}

/// `PUT` and `PATCH /api/incidents/{id}`: both keep what the body leaves out.
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
            let incident = crate::board::incidents::change(tx, &id, patch, &actor)?;
            Ok::<_, ApiError>(Reply::ok(&IncidentJson::from(incident)))
        })
        .await
}

/// `POST /api/incidents/{id}/updates` `{message, status?}`: 201 and the incident as it now is.
pub(super) async fn add_update(app: Arc<App>, request: Request) -> Result<Reply, ApiError> {
    let actor = request.actor()?;
    let mut body = request.fields()?;
    let message: Message = body.required("message")?;
    let status = body.optional("status")?;
    let id = incident_id(&request)?;
    request
        .write(&app.store, move |tx| {
            let incident = crate::board::incidents::add_update(tx, &id, message, status, &actor)?;
            Ok::<_, ApiError>(Reply::created(&IncidentJson::from(incident)))
        })
        .await
}

/// `DELETE /api/incidents/{id}`
pub(super) async fn delete(app: Arc<App>, request: Request) -> Result<Reply, ApiError> {
    let actor = request.actor()?;
    let id = incident_id(&request)?;
    request
        .write(&app.store, move |tx| {
            crate::board::incidents::delete(tx, &id, &actor)?;
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
        let message = format!("serviceIds has more than {MAX_SERVICES} services");
        return Err(ApiError::field("serviceIds", message));
    }
    Ok(Some(ids))
}

fn incident_id(request: &Request) -> Result<IncidentId, ApiError> {
    let id = request.parameter("id").parse();
    id.map_err(|_| BoardError::UnknownIncident.into())
}
