//! `/api/entities` (contract 6.3): entities over HTTP.

use std::sync::Arc;

use crate::app::App;
use crate::entities::{Asked, rows};
use crate::http::{ApiError, Reply, Request, page};
use wallcast_core::entity_id::EntityId;

/// `GET /api/entities`: of its enabled areas for a tablet, of all that are known for an admin:
/// Home Assistant is asked for those alone that some tablet may see.
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
    // Nothing tells whether an entity exists, nor whether it could.
    let entity = request.parameter("id").parse();
    let entity: EntityId = entity.map_err(|_| ApiError::forbidden())?;
    let asked = Asked::from_fields(&mut request.fields()?)?;
    let called = crate::entities::call(&app, &subject, &actor, entity, asked).await?;
    request.done(&app.store, Reply::ok(&called)).await
}
