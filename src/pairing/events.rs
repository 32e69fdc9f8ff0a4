//! Builds the events of pairing. Only `pairing_completed` to the waiting tablet carries a token, and that event is
//! never stored.

use serde_json::{Map, Value, json};
use wallcast_core::clock::Timestamp;
use wallcast_core::event::{Announcement, EventType, NewEvent, Topic};
use wallcast_core::ids::PairingId;

use super::completed::CompletedPairing;
use super::registry::PairingRequest;

pub(crate) fn requested(request: &PairingRequest) -> NewEvent {
    let data = json!({
        "pairingId": request.id,
        "code": request.code,
        "name": request.device.name,
        "platform": request.device.platform,
        "expiresAt": request.expires_at,
    });
    NewEvent::new(EventType::PAIRING_REQUESTED, &data, vec![Topic::Admins])
}

/// `data` is the tablet's answer, or what admins may see of it.
pub(super) fn completed(
    completed: &CompletedPairing,
    now: Timestamp,
    mut data: Map<String, Value>,
    topic: Topic,
) -> NewEvent {
    data.insert("pairingId".to_owned(), completed.pairing_id.as_str().into());
    add_completion(&mut data, now);
    NewEvent::new(EventType::PAIRING_COMPLETED, &data, vec![topic])
}

/// Adds what `pairing_completed` and the answer to an approved tablet's poll say besides the pairing itself.
pub(crate) fn add_completion(data: &mut Map<String, Value>, now: Timestamp) {
    data.insert("message".to_owned(), "This tablet is now paired".into());
    data.insert("timestamp".to_owned(), now.to_string().into());
}

/// `pairing_denied` or `pairing_expired`.
pub(crate) fn ended(event_type: EventType, id: &PairingId, reason: &str, topic: Topic) -> NewEvent {
    let data = json!({ "pairingId": id, "reason": reason });
    NewEvent::new(event_type, &data, vec![topic])
}

/// `wallcast_client_paired` for Home Assistant's event bus.
pub(super) fn announcement(completed: &CompletedPairing, now: Timestamp) -> Announcement {
    let CompletedPairing { client, areas, .. } = completed;
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
