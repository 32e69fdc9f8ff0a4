//! The five events of an area (contract section 5), built here and nowhere else.

use serde_json::json;

use super::{Area, Source};
use wallcast_core::clock::Timestamp;
use wallcast_core::event::{EventType, NewEvent, Topic};
use wallcast_core::ids::ClientId;

/// What happened to an area.
#[derive(Clone, Copy, Debug)]
pub enum AreaEvent<'a> {
    /// This client has it now.
    Added(&'a ClientId),
    /// It is gone.
    Removed(Removal<'a>),
    /// Name or entities changed.
    Updated,
    /// Switched on.
    Enabled,
    /// Switched off.
    Disabled,
}

/// How an area went.
#[derive(Clone, Copy, Debug)]
pub enum Removal<'a> {
    /// From this client alone.
    Unassigned(&'a ClientId),
    /// From everyone.
    Deleted,
}

impl AreaEvent<'_> {
    /// The event, addressed to whom it concerns and to admins.
    pub fn build(self, area: &Area, now: Timestamp) -> NewEvent {
        let (kind, message) = match self {
            Self::Added(_) => (EventType::AREA_ADDED, "Area has been assigned by admin"),
            Self::Removed(Removal::Unassigned(_)) => {
                (EventType::AREA_REMOVED, "Area has been unassigned by admin")
            }
            Self::Removed(Removal::Deleted) if area.source == Source::HomeAssistant => (
                EventType::AREA_REMOVED,
                "Area has been deleted in Home Assistant",
            ),
            Self::Removed(Removal::Deleted) => {
                (EventType::AREA_REMOVED, "Area has been deleted by admin")
            }
            Self::Updated if area.source == Source::HomeAssistant => (
                EventType::AREA_UPDATED,
                "Area has been updated in Home Assistant",
            ),
            Self::Updated => (EventType::AREA_UPDATED, "Area has been updated by admin"),
            Self::Enabled => (EventType::AREA_ENABLED, "Area has been enabled by admin"),
            Self::Disabled => (EventType::AREA_DISABLED, "Area has been disabled by admin"),
        };
        let concerned = match self {
            Self::Added(client) | Self::Removed(Removal::Unassigned(client)) => {
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
                Removal::Unassigned(_) => "unassigned",
                Removal::Deleted => "deleted",
            };
            data.insert("reason".to_owned(), reason.into());
        }
        NewEvent::new(kind, &data, vec![concerned, Topic::Admins])
    }
}
