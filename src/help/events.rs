//! Builds `help_requested` and `help_status_updated`; no other module does.

use serde::Serialize;
use serde_json::json;
use wallcast_core::clock::Timestamp;
use wallcast_core::event::{Announcement, EventType, Namespace, NewEvent, Topic};

use super::help_request::HelpRequest;
use super::wire::HelpJson;
use crate::clients::ClientName;

#[derive(Serialize)]
struct HelpEventData {
    #[serde(flatten)]
    help: HelpJson,
    timestamp: Timestamp,
}

pub(super) fn requested(help: &HelpRequest, now: Timestamp) -> NewEvent {
    build(EventType::HELP_REQUESTED, help, now)
}

pub(super) fn status_updated(help: &HelpRequest, now: Timestamp) -> NewEvent {
    build(EventType::HELP_STATUS_UPDATED, help, now)
}

/// Addressed to admins and, in `/ws/help`, to the room of the kiosk.
fn build(event_type: EventType, help: &HelpRequest, now: Timestamp) -> NewEvent {
    let room = Topic::room(Namespace::Help, help.kiosk_id.as_str());
    let topics = [Topic::Admins].into_iter().chain(room).collect();
    let data = HelpEventData {
        help: help.clone().into(),
        timestamp: now,
    };
    NewEvent::new(event_type, &data, topics)
}

/// `wallcast_help_requested` for Home Assistant's event bus.
pub(super) fn announcement(
    help: &HelpRequest,
    name: Option<&ClientName>,
    now: Timestamp,
) -> Announcement {
    let data = json!({
        "help_id": help.id,
        "client_id": help.client_id,
        "client_name": name,
        "kiosk_id": help.kiosk_id,
        "category": help.fields.category,
        "note": help.fields.note,
        "locker_no": help.fields.locker_no,
    });
    Announcement::new(Announcement::HELP_REQUESTED, data, now)
}
