//! `command` and `command_applied` (contract section 5, seed 3), built here and nowhere else.

use serde::Serialize;
use serde_json::{Value, json};

use super::wire::ResultJson;
use super::{Command, CommandType, End, Outcome};
use crate::clients::ClientName;
use wallcast_core::clock::Timestamp;
use wallcast_core::event::{Announcement, EventType, Namespace, NewEvent, Topic};
use wallcast_core::ids::{KioskId, LockerId};

/// Told to the tablet alone.
pub(super) fn command(command: &Command) -> NewEvent {
    let data = json!({
        "commandId": command.id,
        "type": command.order.kind,
        "parameters": command.order.parameters,
        "lockerId": command.order.locker_id,
        "kioskId": command.kiosk_id,
        "expiresAt": command.expires_at,
    });
    let topics = vec![Topic::Client(command.client_id.clone())];
    NewEvent::new(EventType::COMMAND, &data, topics).expiring(Some(command.expires_at))
}

/// Seed 3's `CommandApplied`. What is not known is left out.
#[derive(Serialize)]
struct Applied<'a> {
    command: Ordered<'a>,
    result: ResultJson,
    timestamp: Timestamp,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Ordered<'a> {
    #[serde(rename = "type")]
    kind: &'a CommandType,
    #[serde(skip_serializing_if = "Option::is_none")]
    locker_id: Option<&'a LockerId>,
    kiosk_id: &'a KioskId,
    #[serde(skip_serializing_if = "Option::is_none")]
    parameters: Option<&'a Value>,
}

/// Told to admins and to the client's room in `/ws/events`.
pub(super) fn applied(command: &Command, end: &End, room: &KioskId, now: Timestamp) -> NewEvent {
    let data = Applied {
        command: Ordered {
            kind: &command.order.kind,
            locker_id: command.order.locker_id.as_ref(),
            kiosk_id: &command.kiosk_id,
            parameters: command.order.parameters.as_ref(),
        },
        result: end.into(),
        timestamp: now,
    };
    let room = Topic::room(Namespace::Events, room.as_str());
    let topics = [Topic::Admins].into_iter().chain(room).collect();
    NewEvent::new(EventType::COMMAND_APPLIED, &data, topics)
}

/// `wallcast_command_applied`, for Home Assistant's bus; also of one that failed or expired.
pub(super) fn announced(
    command: &Command,
    end: &End,
    name: Option<&ClientName>,
    now: Timestamp,
) -> Announcement {
    let data = json!({
        "command_id": command.id,
        "type": command.order.kind,
        "client_id": command.client_id,
        "client_name": name,
        "kiosk_id": command.kiosk_id,
        "locker_id": command.order.locker_id,
        "success": end.outcome == Outcome::Applied,
        "message": end.message,
        "error": end.error,
    });
    Announcement::new(Announcement::COMMAND_APPLIED, data, now)
}
