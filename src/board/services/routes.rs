//! `/api/services` (contract 6.5): the board's services over HTTP.

use std::sync::Arc;

use super::{NewService, Service, ServiceJson, ServicePatch};
use crate::app::App;
use crate::auth::entitlement;
use crate::board::routes::revealed;
use crate::board::{AudiencePatch, BoardError, Description, own};
use crate::ids::ServiceId;
use crate::server::{ApiError, Fields, Reply, Request, page};

/// `GET /api/services`: all for an admin, those of its own board for anyone else.
pub async fn list(app: Arc<App>, request: Request) -> Result<Reply, ApiError> {
    let view = entitlement::board(request.principal()?);
    let limit = request.limit()?;
    let after: i64 = page::cursor(&request)?.unwrap_or(0);
    let outage = own::outage(&app.store).await;
    let services = app
        .store
        .read(move |db| Ok::<_, ApiError>(super::page(db, &view, after, limit + 1)?))
        .await?;
    let show = |service| ServiceJson::from(own::as_it_is(service, outage));
    let key = |service: &Service| service.place;
    Ok(page::reply("services", services, limit, key, show))
}

/// `GET /api/services/{id}`: 403 for whoever's board does not show it.
pub async fn get(app: Arc<App>, request: Request) -> Result<Reply, ApiError> {
    let view = entitlement::board(request.principal()?);
    let id = service_id(&request);
    let outage = own::outage(&app.store).await;
    let found = app
        .store
        .read(move |db| match id {
            Ok(id) => Ok::<_, ApiError>(super::find(db, &id)?),
            Err(_) => Ok(None),
        })
        .await?;
    let unknown = BoardError::UnknownService;
    let service = revealed(&view, found, |service| &service.audience, unknown)?;
    Ok(Reply::ok(&ServiceJson::from(own::as_it_is(
        service, outage,
    ))))
}

/// `POST /api/services`
pub async fn create(app: Arc<App>, request: Request) -> Result<Reply, ApiError> {
    let actor = request.actor()?;
    let mut body = request.fields()?;
    let new = NewService {
        name: body.required("name")?,
        description: body
            .optional("description")?
            .unwrap_or_else(Description::empty),
        status: body.optional("status")?.unwrap_or_default(),
        audience: audience(&mut body)?.apply(&super::Audience::default()),
    };
    request
        .write(&app.store, move |tx| {
            let service = super::create(tx, new, &actor)?;
            Ok(Reply::created(&ServiceJson::from(service)))
        })
        .await
}

/// `PUT` and `PATCH /api/services/{id}`: both keep what the body leaves out.
pub async fn change(app: Arc<App>, request: Request) -> Result<Reply, ApiError> {
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
            let service = super::change(tx, &id, patch, &actor)?;
            Ok::<_, ApiError>(Reply::ok(&ServiceJson::from(service)))
        })
        .await
}

/// `DELETE /api/services/{id}`
pub async fn delete(app: Arc<App>, request: Request) -> Result<Reply, ApiError> {
    let actor = request.actor()?;
    let id = service_id(&request)?;
    request
        .write(&app.store, move |tx| {
            super::delete(tx, &id, &actor)?;
            Ok::<_, ApiError>(Reply::no_content())
        })
        .await
}

/// A description that may be changed; `null` empties it.
pub(in crate::board) fn description(body: &mut Fields) -> Result<Option<Description>, ApiError> {
    let description = body.nullable("description")?;
    Ok(description.map(|text| text.unwrap_or_else(Description::empty)))
}

/// SessionFilter a body names.
pub(in crate::board) fn audience(body: &mut Fields) -> Result<AudiencePatch, ApiError> {
    Ok(AudiencePatch {
        organization_id: body.nullable("organizationId")?,
        tenant_id: body.nullable("tenantId")?,
    })
}

fn service_id(request: &Request) -> Result<ServiceId, ApiError> {
    let id = request.parameter("id").parse();
    id.map_err(|_| BoardError::UnknownService.into())
}
