//! `locker_state_changed` (contract section 5, seed 3), built here and nowhere else.

use serde_json::json;

use super::{Locker, State};
use wallcast_core::clock::Timestamp;
use wallcast_core::event::{EventType, Namespace, NewEvent, Topic};

/// Told to admins and to the room of the locker's kiosk in `/ws/lockers`.
pub(super) fn state_changed(locker: &Locker, old: &State, now: Timestamp) -> NewEvent {
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
