//! Builds the event of a broadcast; no other module does.

use serde_json::{Map, Value, json};
use wallcast_core::clock::Timestamp;
use wallcast_core::event::{EventType, NewEvent, Topic};

/// Custom types carry the data as it is. The status board's types wrap it like their own events, with the inner type
/// `manual` (`docs/protocol.md#broadcast`).
pub(super) fn broadcast(
    event_type: EventType,
    data: Map<String, Value>,
    topics: Vec<Topic>,
    now: Timestamp,
) -> NewEvent {
    if event_type.is_custom() {
        return NewEvent::new(event_type, &data, topics);
    }
    let data = json!({ "type": "manual", "data": data, "timestamp": now });
    NewEvent::new(event_type, &data, topics)
}
