//! Builds the events about clients, which only admins receive.

use serde_json::json;
use wallcast_core::clock::Timestamp;
use wallcast_core::event::{Announcement, EventType, NewEvent, Topic};
use wallcast_core::ids::ClientId;

use super::client::{Client, ClientName};

pub(super) fn client_revoked(client: &Client, reason: &str, now: Timestamp) -> NewEvent {
    let data = json!({
        "clientId": client.id,
        "name": client.name,
        "reason": reason,
        "timestamp": now,
    });
    NewEvent::new(EventType::CLIENT_REVOKED, &data, vec![Topic::Admins])
}

/// `client_offline` if no session is open, else `client_online`.
pub(super) fn presence(
    id: &ClientId,
    name: &ClientName,
    sessions: usize,
    last_seen_at: Timestamp,
) -> NewEvent {
    let event_type = if sessions > 0 {
        EventType::CLIENT_ONLINE
    } else {
        EventType::CLIENT_OFFLINE
    };
    let data = json!({
        "clientId": id,
        "name": name,
        "sessions": sessions,
        "lastSeenAt": last_seen_at,
    });
    NewEvent::new(event_type, &data, vec![Topic::Admins])
}

/// `wallcast_client_online` or `wallcast_client_offline` for Home Assistant's event bus.
pub(super) fn announcement(client: &Client, sessions: usize, now: Timestamp) -> Announcement {
    let name = match sessions {
        0 => Announcement::CLIENT_OFFLINE,
        _ => Announcement::CLIENT_ONLINE,
    };
    let data = json!({
        "client_id": client.id,
        "client_name": client.name,
        "kiosk_id": client.kiosk(),
        "sessions": sessions,
    });
    Announcement::new(name, data, now)
}
