//! The events of pairing (contract section 5). A token is in one of them only, which is never
//! stored and goes to the waiting tablet alone.

use serde_json::{Map, Value, json};

use super::{Completed, Waiting};
use wallcast_core::clock::Timestamp;
use wallcast_core::event::{Announcement, EventType, NewEvent, Topic};
use wallcast_core::ids::PairingId;

pub(crate) fn requested(waiting: &Waiting) -> NewEvent {
    let data = json!({
        "pairingId": waiting.id,
        "code": waiting.code,
        "name": waiting.tablet.name,
        "platform": waiting.tablet.platform,
        "expiresAt": waiting.expires_at,
    });
    NewEvent::new(EventType::PAIRING_REQUESTED, &data, vec![Topic::Admins])
}

pub(super) fn completed(
    completed: &Completed,
    now: Timestamp,
    mut data: Map<String, Value>,
    topic: Topic,
) -> NewEvent {
    data.insert("pairingId".to_owned(), completed.pairing_id.as_str().into());
    data.insert("message".to_owned(), "This tablet is now paired".into());
    data.insert("timestamp".to_owned(), now.to_string().into());
    NewEvent::new(EventType::PAIRING_COMPLETED, &data, vec![topic])
}

pub(crate) fn ended(kind: EventType, id: &PairingId, reason: &str, topic: Topic) -> NewEvent {
    let data = json!({ "pairingId": id, "reason": reason });
    NewEvent::new(kind, &data, vec![topic])
}

/// `wallcast_client_paired`, for Home Assistant's bus.
pub(super) fn announced(completed: &Completed, now: Timestamp) -> Announcement {
    let Completed { client, areas, .. } = completed;
    let data = json!({
        "pairing_id": completed.pairing_id,
        "client_id": client.id,
        "client_name": client.name,
        "kiosk_id": client.kiosk(),
        "platform": client.platform,
        "area_ids": areas.iter().map(|area| &area.id).collect::<Vec<_>>(),
    });
    Announcement::new(Announcement::CLIENT_PAIRED, data, now)
}
