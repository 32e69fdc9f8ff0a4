//! `/api/entities`: entity states and service calls over HTTP (`docs/protocol.md#entities`).

use std::sync::Arc;

use wallcast_core::entity_id::EntityId;

use crate::app::App;
use crate::entities::rows;
use crate::http::{ApiError, Reply, Request, page};
use crate::service_calls::{ServiceCall, call_service};

/// `GET /api/entities`: a client gets the entities of its enabled areas, an admin all cached ones.
/// Only entities that some client may see are cached.
pub(super) async fn list(app: Arc<App>, request: Request) -> Result<Reply, ApiError> {
    let limit = request.limit()?;
    let after: Option<String> = page::cursor(&request)?;
    let client = request.principal()?.client_id().cloned();
    let areas = app
        .store
        .read(move |db| Ok::<_, ApiError>(rows::enabled_areas(db, client.as_ref())?));
    let areas = areas.await?;
    let states = app.entities.page(&areas, after.as_deref(), limit + 1);
    let key = |(id, _): &(EntityId, _)| id.to_string();
    Ok(page::reply("states", states, limit, key, |(_, json)| json))
}

/// `POST /api/entities/{entityId}/call` `{service, data?}`
pub(super) async fn call(app: Arc<App>, request: Request) -> Result<Reply, ApiError> {
    let subject = request.principal()?.subject.clone();
    let actor = request.actor()?;
    // The same 403 for an invalid, unknown or forbidden entity: the response must not reveal which
    // exist.
    let entity = request.parameter("id").parse();
    let entity: EntityId = entity.map_err(|_| ApiError::forbidden())?;
    let call = ServiceCall::from_fields(&mut request.fields()?)?;
    let response = call_service(&app, &subject, &actor, entity, call).await?;
    request.store_reply(&app.store, Reply::ok(&response)).await
}
