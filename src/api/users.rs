//! `/api/users`: a user's presence and sessions (`docs/protocol.md#messages`).

use std::sync::Arc;

use serde_json::json;
use wallcast_core::audit;
use wallcast_core::auth::Subject;
use wallcast_core::clock::Timestamp;
use wallcast_core::ids::UserId;

use crate::api::clients::{disconnect_sessions, reason};
use crate::app::App;
use crate::http::{ApiError, Reply, Request};
use crate::messages::rows;

/// `GET /api/users/{id}`: a user may only ask about itself. An unknown user is reported as offline.
pub(super) async fn get(app: Arc<App>, request: Request) -> Result<Reply, ApiError> {
    let caller = request.principal()?;
    let is_own =
        matches!(&caller.subject, Subject::User(id) if id.as_str() == request.parameter("id"));
    if !is_own && !caller.is_admin() {
        return Err(ApiError::forbidden());
    }
    let id = user_id(&request)?;
    let sessions = app.hub.sessions_of(&Subject::User(id.clone()));
    let last_seen_at = if sessions > 0 {
        Some(Timestamp::now())
    } else {
        let id = id.clone();
        app.store
            .read(move |db| Ok::<_, ApiError>(rows::last_seen(db, &id)?))
            .await?
    };
    Ok(Reply::ok(&json!({
        "userId": id,
        "isOnline": sessions > 0,
        "sessions": sessions,
        "lastSeenAt": last_seen_at,
    })))
}

/// `POST /api/users/{id}/disconnect` `{reason?}`: ends the user's sessions. Clients may reconnect at once.
pub(super) async fn disconnect(app: Arc<App>, request: Request) -> Result<Reply, ApiError> {
    let reason = reason(&mut request.fields()?)?.unwrap_or_default();
    let actor = request.actor()?;
    let id = user_id(&request)?;
    let hub = app.hub.clone();
    request
        .write(&app.store, move |tx| {
            audit::record(tx, &actor, "user.disconnect", Some(id.as_str()), &reason)?;
            Ok::<_, ApiError>(disconnect_sessions(tx, &hub, Subject::User(id)))
        })
        .await
}

fn user_id(request: &Request) -> Result<UserId, ApiError> {
    request
        .parameter("id")
        .parse()
        .map_err(|_| ApiError::not_found("user"))
}
