//! `POST /api/v1/websocket/broadcast` (seed 1) and `POST /api/websocket/broadcast` (seeds 2 and 3):
//! both take what either takes.

use std::sync::Arc;

use serde_json::json;

use crate::app::App;
use crate::broadcast::{Broadcast, BroadcastError, Recipients};
use crate::http::{ApiError, Fields, Reply, Request};
use crate::rooms::RoomRef;
use wallcast_core::clock::Timestamp;
use wallcast_core::event::Namespace;
use wallcast_core::ids::{ClientId, OrganizationId, RoomName, TenantId, UserId};

/// `{type, data}` in the words of seeds 1 and 2, `{event, data}` in those of seed 3, and for whom.
/// Answers with the number of sessions that are there to hear it now.
///
/// # Errors
/// 422 for a type that is taken, data that is no object, or a wrong or second audience.
pub(crate) async fn broadcast(app: Arc<App>, request: Request) -> Result<Reply, ApiError> {
    let actor = request.actor()?;
    let mut body = request.fields()?;
    let kind = match body.optional("type")? {
        Some(kind) => kind,
        None => body
            .optional("event")?
            .ok_or_else(|| ApiError::field("type", "type (or event) is required"))?,
    };
    let broadcast = Broadcast {
        event_type: kind,
        data: body.required("data")?,
        recipients: audience(&mut body)?,
    };
    let hub = app.hub.clone();
    request
        .write(&app.store, move |tx| {
            let message_type = broadcast.event_type.clone();
            let sessions = crate::broadcast::publish(tx, &hub, broadcast, &actor)?;
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

/// The one audience that a body names; everyone if it names none.
fn audience(body: &mut Fields) -> Result<Recipients, ApiError> {
    let namespace: Option<Namespace> = body.optional("namespace")?;
    let room: Option<RoomName> = body.optional("room")?;
    let of_namespace = match (namespace, room) {
        (namespace, Some(room)) => {
            let namespace = namespace.unwrap_or(Namespace::Main);
            Some(("room", Recipients::Room(namespace, room)))
        }
        (Some(namespace), None) => Some(("namespace", Recipients::Namespace(namespace))),
        (None, None) => None,
    };
    let organization: Option<OrganizationId> = body.optional("organizationId")?;
    let tenant: Option<TenantId> = body.optional("tenantId")?;
    let of_board = match (organization, tenant) {
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
        of_namespace,
        of_board,
        area.map(|room| ("roomId", Recipients::Area(room))),
        client.map(|id| ("clientId", Recipients::Client(id))),
        user.map(|id| ("userId", Recipients::User(id))),
    ]
    .into_iter()
    .flatten();
    match (named.next(), named.next()) {
        (first, None) => Ok(first.map_or(Recipients::All, |(_, audience)| audience)),
        (_, Some((field, _))) => Err(ApiError::field(
            field,
            "Name one audience: a namespace (and room), an organisation (and tenant), a room_id, a clientId or a userId",
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
