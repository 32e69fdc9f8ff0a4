//! `/api/services`: services of the status board over HTTP (`docs/protocol.md#status-board`).

use std::sync::Arc;

use wallcast_core::ids::ServiceId;

use crate::access::entitlement;
use crate::api::board::visible;
use crate::app::App;
use crate::board::services::{self, NewService, Service, ServiceJson, ServicePatch};
use crate::board::{Audience, AudiencePatch, BoardError, Description, built_in};
use crate::http::{ApiError, Fields, Reply, Request, page};

/// `GET /api/services`: all services for an admin, those of the caller's board for others.
pub(super) async fn list(app: Arc<App>, request: Request) -> Result<Reply, ApiError> {
    let view = entitlement::board(request.principal()?);
    let limit = request.limit()?;
    let after: i64 = page::cursor(&request)?.unwrap_or(0);
    let outage = built_in::store_outage(&app.store).await;
    let services = app
        .store
        .read(move |db| Ok::<_, ApiError>(services::page(db, &view, after, limit + 1)?))
        .await?;
    let to_json = |service| ServiceJson::from(built_in::with_outage(service, outage));
    let key = |service: &Service| service.place;
    Ok(page::reply("services", services, limit, key, to_json))
}

/// `GET /api/services/{id}`: 403 if the service is not on the caller's board.
pub(super) async fn get(app: Arc<App>, request: Request) -> Result<Reply, ApiError> {
    let view = entitlement::board(request.principal()?);
    let id = service_id(&request);
    let outage = built_in::store_outage(&app.store).await;
    let found = app
        .store
        .read(move |db| match id {
            Ok(id) => Ok::<_, ApiError>(services::find(db, &id)?),
            Err(_) => Ok(None),
        })
        .await?;
    let unknown = BoardError::UnknownService;
    let service = visible(&view, found, |service| &service.audience, unknown)?;
    Ok(Reply::ok(&ServiceJson::from(built_in::with_outage(
        service, outage,
    ))))
}

pub(super) async fn create(app: Arc<App>, request: Request) -> Result<Reply, ApiError> {
    let actor = request.actor()?;
    let mut body = request.fields()?;
    let new = NewService {
        name: body.required("name")?,
        description: body
            .optional("description")?
            .unwrap_or_else(Description::empty),
        status: body.optional("status")?.unwrap_or_default(),
        audience: audience(&mut body)?.apply(&Audience::default()),
    };
    request
        .write(&app.store, move |tx| {
            let service = services::create(tx, new, &actor)?;
            Ok(Reply::created(&ServiceJson::from(service)))
        })
        .await
}

/// `PUT` and `PATCH /api/services/{id}`: both keep the fields that the body omits.
pub(super) async fn change(app: Arc<App>, request: Request) -> Result<Reply, ApiError> {
    let actor = request.actor()?;
    let mut body = request.fields()?;
    let patch = ServicePatch {
        name: body.optional("name")?,
        description: description(&mut body)?,
        status: body.optional("status")?,
        audience: audience(&mut body)?,
    };
    let id = service_id(&request)?;
    request
        .write(&app.store, move |tx| {
            let service = services::change(tx, &id, patch, &actor)?;
            Ok::<_, ApiError>(Reply::ok(&ServiceJson::from(service)))
        })
        .await
}

pub(super) async fn delete(app: Arc<App>, request: Request) -> Result<Reply, ApiError> {
    let actor = request.actor()?;
    let id = service_id(&request)?;
    request
        .write(&app.store, move |tx| {
            services::delete(tx, &id, &actor)?;
            Ok::<_, ApiError>(Reply::no_content())
        })
        .await
}

/// The optional `description`. `null` clears it.
pub(super) fn description(body: &mut Fields) -> Result<Option<Description>, ApiError> {
    let description = body.nullable("description")?;
    Ok(description.map(|text| text.unwrap_or_else(Description::empty)))
}

/// The board that a body names.
pub(super) fn audience(body: &mut Fields) -> Result<AudiencePatch, ApiError> {
    Ok(AudiencePatch {
        organization_id: body.nullable("organizationId")?,
        tenant_id: body.nullable("tenantId")?,
    })
}

fn service_id(request: &Request) -> Result<ServiceId, ApiError> {
    let id = request.parameter("id").parse();
    id.map_err(|_| BoardError::UnknownService.into())
}
