//! Builds the events about areas; no other module does.

use serde_json::json;
use wallcast_core::clock::Timestamp;
use wallcast_core::event::{EventType, NewEvent, Topic};
use wallcast_core::ids::ClientId;

use super::area::{Area, AreaSource};

/// A change of an area of which its clients and admins are notified.
#[derive(Clone, Copy, Debug)]
pub enum AreaEvent<'a> {
    /// The area was assigned to this client.
    Added(&'a ClientId),
    Removed(AreaRemoval<'a>),
    /// Its name or entities changed.
    Updated,
    Enabled,
    Disabled,
}

/// The reason of an `area_removed` event.
#[derive(Clone, Copy, Debug)]
pub enum AreaRemoval<'a> {
    /// The area was taken from this client; other clients keep it.
    Unassigned(&'a ClientId),
    /// The area was deleted, for every client.
    Deleted,
}

impl AreaEvent<'_> {
    /// Addressed to admins and to the clients that the change affects.
    pub fn build(self, area: &Area, now: Timestamp) -> NewEvent {
        let is_mirrored = area.source == AreaSource::HomeAssistant;
        let (event_type, message) = match self {
            Self::Added(_) => (EventType::AREA_ADDED, "Area has been assigned by admin"),
            Self::Removed(AreaRemoval::Unassigned(_)) => {
                (EventType::AREA_REMOVED, "Area has been unassigned by admin")
            }
            Self::Removed(AreaRemoval::Deleted) if is_mirrored => (
                EventType::AREA_REMOVED,
                "Area has been deleted in Home Assistant",
            ),
            Self::Removed(AreaRemoval::Deleted) => {
                (EventType::AREA_REMOVED, "Area has been deleted by admin")
            }
            Self::Updated if is_mirrored => (
                EventType::AREA_UPDATED,
                "Area has been updated in Home Assistant",
            ),
            Self::Updated => (EventType::AREA_UPDATED, "Area has been updated by admin"),
            Self::Enabled => (EventType::AREA_ENABLED, "Area has been enabled by admin"),
            Self::Disabled => (EventType::AREA_DISABLED, "Area has been disabled by admin"),
        };
        let topic = match self {
            Self::Added(client) | Self::Removed(AreaRemoval::Unassigned(client)) => {
                Topic::Client(client.clone())
            }
            _ => Topic::Area(area.id.clone()),
        };
        let mut data = json!({
            "areaId": area.id,
            "name": area.name,
            "entityIds": area.entity_ids,
            "isEnabled": area.is_enabled,
            "message": message,
            "timestamp": now,
        });
        if let (Self::Removed(removal), Some(data)) = (self, data.as_object_mut()) {
            let reason = match removal {
                AreaRemoval::Unassigned(_) => "unassigned",
                AreaRemoval::Deleted => "deleted",
            };
            data.insert("reason".to_owned(), reason.into());
        }
        NewEvent::new(event_type, &data, vec![topic, Topic::Admins])
    }
}

/// The `action` of a `room_updated` event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RoomUpdateAction {
    Created,
    /// The area's name or entities changed.
    Updated,
    Deleted,
}

impl RoomUpdateAction {
    fn as_str(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Updated => "updated",
            Self::Deleted => "deleted",
        }
    }
}

/// `room_updated`, which calls the area a room and names it by its integer id.
pub(super) fn room_updated(area: &Area, action: RoomUpdateAction, topics: Vec<Topic>) -> NewEvent {
    let data = json!({
        "room_id": area.room_id,
        "room_name": area.name,
        "action": action.as_str(),
    });
    NewEvent::new(EventType::ROOM_UPDATED, &data, topics)
}
