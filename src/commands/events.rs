//! Builds the events `command` and `command_applied` (docs/protocol.md#event-types). No other
//! module builds them.

use serde::Serialize;
use serde_json::{Value, json};
use wallcast_core::clock::Timestamp;
use wallcast_core::event::{Announcement, EventType, Namespace, NewEvent, Topic};
use wallcast_core::ids::{KioskId, LockerId};

use super::command::{Command, CommandOutcome, CommandResult, CommandType};
use super::wire::ResultJson;
use crate::clients::ClientName;

/// `command`, for the client alone.
pub(super) fn command(command: &Command) -> NewEvent {
    let data = json!({
        "commandId": command.id,
        "type": command.instruction.command_type,
        "parameters": command.instruction.parameters,
        "lockerId": command.instruction.locker_id,
        "kioskId": command.kiosk_id,
        "expiresAt": command.expires_at,
    });
    let topics = vec![Topic::Client(command.client_id.clone())];
    NewEvent::new(EventType::COMMAND, &data, topics).expiring(Some(command.expires_at))
}

#[derive(Serialize)]
struct CommandAppliedData<'a> {
    command: AppliedCommand<'a>,
    result: ResultJson,
    timestamp: Timestamp,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct AppliedCommand<'a> {
    #[serde(rename = "type")]
    command_type: &'a CommandType,
    #[serde(skip_serializing_if = "Option::is_none")]
    locker_id: Option<&'a LockerId>,
    kiosk_id: &'a KioskId,
    #[serde(skip_serializing_if = "Option::is_none")]
    parameters: Option<&'a Value>,
}

/// `command_applied`, for admins and for the kiosk's room in `/ws/events`.
pub(super) fn applied(
    command: &Command,
    result: &CommandResult,
    room: &KioskId,
    now: Timestamp,
) -> NewEvent {
    let data = CommandAppliedData {
        command: AppliedCommand {
            command_type: &command.instruction.command_type,
            locker_id: command.instruction.locker_id.as_ref(),
            kiosk_id: &command.kiosk_id,
            parameters: command.instruction.parameters.as_ref(),
        },
        result: result.into(),
        timestamp: now,
    };
    let room = Topic::room(Namespace::Events, room.as_str());
    let topics = [Topic::Admins].into_iter().chain(room).collect();
    NewEvent::new(EventType::COMMAND_APPLIED, &data, topics)
}

/// `wallcast_command_applied` on Home Assistant's event bus, also for commands that failed or
/// expired.
pub(super) fn announcement(
    command: &Command,
    result: &CommandResult,
    client_name: Option<&ClientName>,
    now: Timestamp,
) -> Announcement {
    let data = json!({
        "command_id": command.id,
        "type": command.instruction.command_type,
        "client_id": command.client_id,
        "client_name": client_name,
        "kiosk_id": command.kiosk_id,
        "locker_id": command.instruction.locker_id,
        "success": result.outcome == CommandOutcome::Applied,
        "message": result.message,
        "error": result.error,
    });
    Announcement::new(Announcement::COMMAND_APPLIED, data, now)
}
