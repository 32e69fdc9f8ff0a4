//! `/api/areas`: areas over HTTP (`docs/protocol.md#areas`).

use std::sync::Arc;

use hyper::StatusCode;
use wallcast_core::entity_id::EntityId;
use wallcast_core::ids::AreaId;

use crate::app::App;
use crate::areas::wire::AreaJson;
use crate::areas::{
    self, AreaError, AreaName, AreaPatch, DeleteMirrored, EnabledChange, MAX_ENTITIES, deduplicate,
};
use crate::http::{ApiError, Fields, Reply, Request, page};

impl From<AreaError> for ApiError {
    fn from(error: AreaError) -> Self {
        match error {
            AreaError::Unknown => Self::not_found("area"),
            AreaError::Mirrored => Self::new(StatusCode::CONFLICT, "mirrored", error.to_string()),
            AreaError::Store(error) => error.into(),
        }
    }
}

/// `GET /api/areas`: all areas for an admin, the assigned areas for a client.
pub(super) async fn list(app: Arc<App>, request: Request) -> Result<Reply, ApiError> {
    let principal = request.principal()?.clone();
    let limit = request.limit()?;
    let after: i64 = page::cursor(&request)?.unwrap_or(0);
    let client = principal.client_id().cloned();
    let areas = app
        .store
        .read(move |db| {
            areas::page(db, client.as_ref(), after, limit + 1)?
                .into_iter()
                .map(|area| Ok(AreaJson::shown_to(db, &principal, area)?))
                .collect::<Result<Vec<_>, ApiError>>()
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

/// `GET /api/areas/{id}`: a client gets 403 for an area that is not assigned to it, whether it exists or not.
pub(super) async fn get(app: Arc<App>, request: Request) -> Result<Reply, ApiError> {
    let principal = request.principal()?.clone();
    let client = principal.client_id().cloned();
    let id = area_id(&request);
    let area = app
        .store
        .read(move |db| {
            if let Some(client) = client {
                let is_assigned = match &id {
                    Ok(id) => areas::is_assigned(db, id, &client)?,
                    Err(_) => false,
                };
                if !is_assigned {
                    return Err(ApiError::forbidden());
                }
            }
            let area = areas::find(db, &id?)?.ok_or_else(|| ApiError::not_found("area"))?;
            Ok(AreaJson::shown_to(db, &principal, area)?)
        })
        .await?;
    Ok(Reply::ok(&area))
}

pub(super) async fn create(app: Arc<App>, request: Request) -> Result<Reply, ApiError> {
    let actor = request.actor()?;
    let mut body = request.fields()?;
    let name: AreaName = body.required("name")?;
    let entity_ids = entity_ids(&mut body)?.unwrap_or_default();
    let is_enabled = body.optional("isEnabled")?.unwrap_or(true);
    request
        .write(&app.store, move |tx| {
            let area = areas::create(tx, name, entity_ids, is_enabled, &actor)?;
            Ok(Reply::created(&AreaJson::for_admin(tx.connection(), area)?))
        })
        .await
}

/// `PUT` and `PATCH /api/areas/{id}`: both keep the fields that the body omits.
pub(super) async fn change(app: Arc<App>, request: Request) -> Result<Reply, ApiError> {
    let mut body = request.fields()?;
    let patch = AreaPatch {
        name: body.optional("name")?,
        entity_ids: entity_ids(&mut body)?,
        enabled: body.optional("isEnabled")?.map(EnabledChange::Set),
    };
    apply(&app, &request, patch).await
}

/// `PATCH /api/areas/{id}/toggle`: sets `isEnabled` from the body. An empty body inverts it.
pub(super) async fn toggle(app: Arc<App>, request: Request) -> Result<Reply, ApiError> {
    let is_enabled = request.fields()?.optional("isEnabled")?;
    let enabled = Some(is_enabled.map_or(EnabledChange::Toggle, EnabledChange::Set));
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

pub(super) async fn delete(app: Arc<App>, request: Request) -> Result<Reply, ApiError> {
    let actor = request.actor()?;
    let id = area_id(&request)?;
    let mirrored = match app.home.is_configured() {
        true => DeleteMirrored::Refuse,
        false => DeleteMirrored::Allow,
    };
    request
        .write(&app.store, move |tx| {
            areas::delete(tx, &id, mirrored, &actor)?;
            Ok::<_, ApiError>(Reply::no_content())
        })
        .await
}

async fn apply(app: &App, request: &Request, patch: AreaPatch) -> Result<Reply, ApiError> {
    let actor = request.actor()?;
    let id = area_id(request)?;
    request
        .write(&app.store, move |tx| {
            let area = areas::change(tx, &id, patch, &actor)?;
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
        let message = format!("`entityIds` must have at most {MAX_ENTITIES} entities");
        return Err(ApiError::field("entityIds", message));
    }
    Ok(ids)
}
