//! Builds `locker_state_changed`; no other module does.

use serde_json::json;
use wallcast_core::clock::Timestamp;
use wallcast_core::event::{EventType, Namespace, NewEvent, Topic};

use super::locker::{Locker, LockerState};

/// Addressed to admins and, in `/ws/lockers`, to the room of the locker's kiosk.
pub(super) fn state_changed(locker: &Locker, old: &LockerState, now: Timestamp) -> NewEvent {
    let data = json!({
        "lockerId": locker.id,
        "oldState": old,
        "newState": locker.state,
        "kioskId": locker.kiosk_id,
        "timestamp": now,
    });
    let room = Topic::room(Namespace::Lockers, locker.kiosk_id.as_str());
    let topics = [Topic::Admins].into_iter().chain(room).collect();
    NewEvent::new(EventType::LOCKER_STATE_CHANGED, &data, topics)
}
