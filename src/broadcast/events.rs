//! The event of a broadcast, built here and nowhere else.

use serde_json::{Map, Value, json};

use wallcast_core::clock::Timestamp;
use wallcast_core::event::{EventType, NewEvent, Topic};

/// The data as it was given; seed 2's own types wrap it as they always do, with the inner type
/// `manual` (contract section 5).
pub(super) fn broadcast(
    kind: EventType,
    data: Map<String, Value>,
    topics: Vec<Topic>,
    now: Timestamp,
) -> NewEvent {
    if kind.is_custom() {
        return NewEvent::new(kind, &data, topics);
    }
    let data = json!({ "type": "manual", "data": data, "timestamp": now });
    NewEvent::new(kind, &data, topics)
}
