//! `help_requested` and `help_status_updated` (contract section 5), built here and nowhere else.

use serde::Serialize;
use serde_json::json;

use super::{HelpJson, HelpRequest};
use crate::clients::ClientName;
use wallcast_core::clock::Timestamp;
use wallcast_core::event::{Announcement, EventType, Namespace, NewEvent, Topic};

/// The whole request, and when this was told.
#[derive(Serialize)]
struct Told {
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

/// Told to admins and to the room of the kiosk in `/ws/help`.
fn build(kind: EventType, help: &HelpRequest, now: Timestamp) -> NewEvent {
    let room = Topic::room(Namespace::Help, help.kiosk_id.as_str());
    let topics = [Topic::Admins].into_iter().chain(room).collect();
    let data = Told {
        help: help.clone().into(),
        timestamp: now,
    };
    NewEvent::new(kind, &data, topics)
}

/// `wallcast_help_requested`, for Home Assistant's bus.
pub(super) fn announced(
    help: &HelpRequest,
    name: Option<&ClientName>,
    now: Timestamp,
) -> Announcement {
    let data = json!({
        "help_id": help.id,
        "client_id": help.client_id,
        "client_name": name,
        "kiosk_id": help.kiosk_id,
        "category": help.asked.category,
        "note": help.asked.note,
        "locker_no": help.asked.locker_no,
    });
    Announcement::new(Announcement::HELP_REQUESTED, data, now)
}
