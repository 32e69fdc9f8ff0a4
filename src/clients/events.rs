//! The events about a client that admins hear (contract section 5).

use serde_json::json;

use super::{Client, ClientName};
use crate::clock::Timestamp;
use crate::event::{Kind, NewEvent, Topic};
use crate::ids::ClientId;

pub(super) fn client_revoked(client: &Client, reason: &str, now: Timestamp) -> NewEvent {
    let data = json!({
        "clientId": client.id,
        "name": client.name,
        "reason": reason,
        "timestamp": now,
    });
    NewEvent::new(Kind::CLIENT_REVOKED, &data, vec![Topic::Admins])
}

/// `client_online` or `client_offline`, by the number of sessions that are left.
pub(super) fn presence(
    id: &ClientId,
    name: &ClientName,
    sessions: usize,
    last_seen_at: Timestamp,
) -> NewEvent {
    let kind = if sessions > 0 {
        Kind::CLIENT_ONLINE
    } else {
        Kind::CLIENT_OFFLINE
    };
    let data = json!({
        "clientId": id,
        "name": name,
        "sessions": sessions,
        "lastSeenAt": last_seen_at,
    });
    NewEvent::new(kind, &data, vec![Topic::Admins])
}
