//! `POST /api/v1/websocket/broadcast` and `POST /api/websocket/broadcast`: publish a custom event
//! (`docs/protocol.md#broadcast`). Both paths accept the same body.

use std::sync::Arc;

use serde_json::json;
use wallcast_core::clock::Timestamp;
use wallcast_core::event::Namespace;
use wallcast_core::ids::{ClientId, OrganizationId, RoomName, TenantId, UserId};

use crate::app::App;
use crate::broadcast::{self, Broadcast, BroadcastError, Recipients};
use crate::http::{ApiError, Fields, Reply, Request};
use crate::rooms::RoomRef;

/// Publishes `{type, data}` (or `{event, data}`) to the audience that the body names, by default to all sessions.
/// Replies with the number of sessions that are subscribed now.
///
/// # Errors
/// 422 for a reserved type, for `data` that is not an object, and for an invalid audience or more than one.
pub(crate) async fn broadcast(app: Arc<App>, request: Request) -> Result<Reply, ApiError> {
    let actor = request.actor()?;
    let mut body = request.fields()?;
    let event_type = match body.optional("type")? {
        Some(event_type) => event_type,
        None => body
            .optional("event")?
            .ok_or_else(|| ApiError::field("type", "`type` (or `event`) is required"))?,
    };
    let broadcast = Broadcast {
        event_type,
        data: body.required("data")?,
        recipients: recipients(&mut body)?,
    };
    let hub = app.hub.clone();
    request
        .write(&app.store, move |tx| {
            let message_type = broadcast.event_type.clone();
            let sessions = broadcast::publish(tx, &hub, broadcast, &actor)?;
            Ok::<_, ApiError>(Reply::ok(&json!({
                "success": true,
                "data": {
                    "message": "Message broadcasted successfully",
                    "clients_count": sessions,
                    "message_type": message_type.as_str(),
                },
                "timestamp": Timestamp::now(),
            })))
        })
        .await
}

/// The recipients that the body names, or all sessions.
fn recipients(body: &mut Fields) -> Result<Recipients, ApiError> {
    let namespace: Option<Namespace> = body.optional("namespace")?;
    let room: Option<RoomName> = body.optional("room")?;
    let namespace_recipients = match (namespace, room) {
        (namespace, Some(room)) => {
            let namespace = namespace.unwrap_or(Namespace::Main);
            Some(("room", Recipients::Room(namespace, room)))
        }
        (Some(namespace), None) => Some(("namespace", Recipients::Namespace(namespace))),
        (None, None) => None,
    };
    let organization: Option<OrganizationId> = body.optional("organizationId")?;
    let tenant: Option<TenantId> = body.optional("tenantId")?;
    let board_recipients = match (organization, tenant) {
        (Some(organization), Some(tenant)) => {
            Some(("tenantId", Recipients::Both(organization, tenant)))
        }
        (Some(organization), None) => {
            Some(("organizationId", Recipients::Organization(organization)))
        }
        (None, Some(tenant)) => Some(("tenantId", Recipients::Tenant(tenant))),
        (None, None) => None,
    };
    let area: Option<RoomRef> = body.optional("roomId")?;
    let client: Option<ClientId> = body.optional("clientId")?;
    let user: Option<UserId> = body.optional("userId")?;
    let mut named = [
        namespace_recipients,
        board_recipients,
        area.map(|room| ("roomId", Recipients::Area(room))),
        client.map(|id| ("clientId", Recipients::Client(id))),
        user.map(|id| ("userId", Recipients::User(id))),
    ]
    .into_iter()
    .flatten();
    match (named.next(), named.next()) {
        (first, None) => Ok(first.map_or(Recipients::All, |(_, recipients)| recipients)),
        (_, Some((field, _))) => Err(ApiError::field(
            field,
            "Only one audience is allowed: `namespace` (and `room`), `organizationId` (and `tenantId`), `room_id`, `clientId` or `userId`",
        )),
    }
}

impl From<BroadcastError> for ApiError {
    fn from(error: BroadcastError) -> Self {
        let message = error.to_string();
        match error {
            BroadcastError::UnknownRoom(_) => Self::field("roomId", message),
            BroadcastError::UnknownClient(_) => Self::field("clientId", message),
            BroadcastError::NotDelivered(..) => Self::field("type", message),
            BroadcastError::Store(error) => error.into(),
        }
    }
}
