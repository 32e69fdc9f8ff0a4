//! Commands and results as JSON (docs/protocol.md#commands).

use serde::Serialize;
use serde_json::Value;
use wallcast_core::clock::Timestamp;
use wallcast_core::event::EventId;
use wallcast_core::ids::{ClientId, CommandId, KioskId, LockerId};

use super::command::{
    Command, CommandOutcome, CommandReport, CommandResult, CommandType, ResultText,
};
use crate::http::{ApiError, Fields};

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CommandJson {
    id: CommandId,
    #[serde(rename = "type")]
    command_type: CommandType,
    client_id: ClientId,
    kiosk_id: KioskId,
    locker_id: Option<LockerId>,
    parameters: Option<Value>,
    status: &'static str,
    result: Option<ResultJson>,
    event_id: EventId,
    created_at: Timestamp,
    expires_at: Timestamp,
}

impl CommandJson {
    /// The command with its status at `now`, if its client has acknowledged all events up to `acked`.
    pub fn new(command: Command, acked: Option<EventId>, now: Timestamp) -> Self {
        Self {
            status: command.status(acked, now).as_str(),
            result: command.result.as_ref().map(ResultJson::from),
            id: command.id,
            command_type: command.instruction.command_type,
            client_id: command.client_id,
            kiosk_id: command.kiosk_id,
            locker_id: command.instruction.locker_id,
            parameters: command.instruction.parameters,
            event_id: command.event_id,
            created_at: command.created_at,
            expires_at: command.expires_at,
        }
    }
}

/// The `result` of a command. Texts that the client left out are omitted.
#[derive(Serialize)]
pub(super) struct ResultJson {
    success: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<ResultText>,
    timestamp: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<ResultText>,
}

impl From<&CommandResult> for ResultJson {
    fn from(result: &CommandResult) -> Self {
        Self {
            success: result.outcome == CommandOutcome::Applied,
            message: result.message.clone(),
            timestamp: result.finished_at,
            error: result.error.clone(),
        }
    }
}

impl CommandReport {
    /// Parses `command_result`: `{commandId, success, message?, error?}`.
    ///
    /// # Errors
    /// 422 with the name of the invalid field.
    pub fn from_fields(fields: &mut Fields) -> Result<Self, ApiError> {
        Ok(Self {
            id: fields.required("commandId")?,
            success: fields.required("success")?,
            message: fields.optional("message")?,
            error: fields.optional("error")?,
        })
    }
}
