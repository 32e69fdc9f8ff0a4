//! `/api/areas` (contract 6.1): areas over HTTP.

use std::sync::Arc;

use hyper::StatusCode;

use crate::app::App;
use crate::areas::wire::AreaJson;
use crate::areas::{
    AreaError, AreaName, AreaPatch, DeleteMirrored, EnabledChange, EntityId, MAX_ENTITIES,
    deduplicate,
};
use crate::http::{ApiError, Fields, Reply, Request, page};
use wallcast_core::ids::AreaId;

impl From<AreaError> for ApiError {
    fn from(error: AreaError) -> Self {
        match error {
            AreaError::Unknown => Self::not_found("area"),
            AreaError::Mirrored => Self::new(StatusCode::CONFLICT, "mirrored", error.to_string()),
            AreaError::Store(error) => error.into(),
        }
    }
}

/// `GET /api/areas`: all for an admin, its own for a client.
pub(super) async fn list(app: Arc<App>, request: Request) -> Result<Reply, ApiError> {
    let principal = request.principal()?.clone();
    let limit = request.limit()?;
    let after: i64 = page::cursor(&request)?.unwrap_or(0);
    let client = principal.client_id().cloned();
    let areas = app
        .store
        .read(move |db| {
            let areas = crate::areas::page(db, client.as_ref(), after, limit + 1)?.into_iter();
            let shown = areas.map(|area| AreaJson::shown_to(db, &principal, area));
            Ok::<_, ApiError>(shown.collect::<rusqlite::Result<Vec<_>>>()?)
        })
        .await?;
    Ok(page::reply(
        "areas",
        areas,
        limit,
        AreaJson::room_id,
        |area| area,
    ))
}

/// `GET /api/areas/{id}`: a client gets 403 for any area that is not its own.
pub(super) async fn get(app: Arc<App>, request: Request) -> Result<Reply, ApiError> {
    let principal = request.principal()?.clone();
    let client = principal.client_id().cloned();
    let id = area_id(&request);
    let area = app
        .store
        .read(move |db| {
            if let Some(client) = client {
                let is_own = match &id {
                    Ok(id) => crate::areas::is_assigned(db, id, &client)?,
                    Err(_) => false,
                };
                if !is_own {
                    return Err(ApiError::forbidden());
                }
            }
            let area = crate::areas::find(db, &id?)?.ok_or_else(|| ApiError::not_found("area"))?;
            Ok(AreaJson::shown_to(db, &principal, area)?)
        })
        .await?;
    Ok(Reply::ok(&area))
}

/// `POST /api/areas`
pub(super) async fn create(app: Arc<App>, request: Request) -> Result<Reply, ApiError> {
    let actor = request.actor()?;
    let mut body = request.fields()?;
    let name: AreaName = body.required("name")?;
    let entity_ids = entity_ids(&mut body)?.unwrap_or_default();
    let is_enabled = body.optional("isEnabled")?.unwrap_or(true);
    request
        .write(&app.store, move |tx| {
            let area = crate::areas::create(tx, name, entity_ids, is_enabled, &actor)?;
            Ok(Reply::created(&AreaJson::for_admin(tx.connection(), area)?))
        })
        .await
}

/// `PUT` and `PATCH /api/areas/{id}`: both keep what the body leaves out (seed 0's example).
pub(super) async fn change(app: Arc<App>, request: Request) -> Result<Reply, ApiError> {
    let mut body = request.fields()?;
    let patch = AreaPatch {
        name: body.optional("name")?,
        entity_ids: entity_ids(&mut body)?,
        enabled: body.optional("isEnabled")?.map(EnabledChange::Set),
    };
    apply(&app, &request, patch).await
}

/// `PATCH /api/areas/{id}/toggle`: an empty body flips, `{isEnabled}` sets.
pub(super) async fn toggle(app: Arc<App>, request: Request) -> Result<Reply, ApiError> {
    let asked = request.fields()?.optional("isEnabled")?;
    let enabled = Some(asked.map_or(EnabledChange::Toggle, EnabledChange::Set));
    apply(
        &app,
        &request,
        AreaPatch {
            enabled,
            ..AreaPatch::default()
        },
    )
    .await
}

/// `DELETE /api/areas/{id}`
pub(super) async fn delete(app: Arc<App>, request: Request) -> Result<Reply, ApiError> {
    let actor = request.actor()?;
    let id = area_id(&request)?;
    let mirrored = match app.home.is_configured() {
        true => DeleteMirrored::Refuse,
        false => DeleteMirrored::Allow,
    };
    request
        .write(&app.store, move |tx| {
            crate::areas::delete(tx, &id, mirrored, &actor)?;
            Ok::<_, ApiError>(Reply::no_content())
        })
        .await
}

async fn apply(app: &App, request: &Request, patch: AreaPatch) -> Result<Reply, ApiError> {
    let actor = request.actor()?;
    let id = area_id(request)?;
    request
        .write(&app.store, move |tx| {
            let area = crate::areas::change(tx, &id, patch, &actor)?;
            Ok::<_, ApiError>(Reply::ok(&AreaJson::for_admin(tx.connection(), area)?))
        })
        .await
}

fn area_id(request: &Request) -> Result<AreaId, ApiError> {
    request
        .parameter("id")
        .parse()
        .map_err(|_| ApiError::not_found("area"))
}

fn entity_ids(body: &mut Fields) -> Result<Option<Vec<EntityId>>, ApiError> {
    let ids = body
        .optional::<Vec<EntityId>>("entityIds")?
        .map(deduplicate);
    if ids.as_ref().is_some_and(|ids| ids.len() > MAX_ENTITIES) {
        let message = format!("entityIds has more than {MAX_ENTITIES} entities");
        return Err(ApiError::field("entityIds", message));
    }
    Ok(ids)
}
