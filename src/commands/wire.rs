//! A command as JSON, and what a tablet says of one.

use serde::Serialize;
use serde_json::Value;

use super::{Command, CommandType, End, Outcome, Remark, Reported};
use crate::http::{ApiError, Fields};
use wallcast_core::clock::Timestamp;
use wallcast_core::event::EventId;
use wallcast_core::ids::{ClientId, CommandId, KioskId, LockerId};

/// A command on the wire.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CommandJson {
    id: CommandId,
    #[serde(rename = "type")]
    kind: CommandType,
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
    /// A command as it is at this moment, while its tablet has acknowledged events up to `acked`.
    pub fn new(command: Command, acked: Option<EventId>, now: Timestamp) -> Self {
        Self {
            status: command.status(acked, now).as_str(),
            result: command.end.as_ref().map(ResultJson::from),
            id: command.id,
            kind: command.order.kind,
            client_id: command.client_id,
            kiosk_id: command.kiosk_id,
            locker_id: command.order.locker_id,
            parameters: command.order.parameters,
            event_id: command.event_id,
            created_at: command.created_at,
            expires_at: command.expires_at,
        }
    }
}

/// Seed 3's `result`. What is not known is left out.
#[derive(Serialize)]
pub(super) struct ResultJson {
    success: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<Remark>,
    timestamp: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<Remark>,
}

impl From<&End> for ResultJson {
    fn from(end: &End) -> Self {
        Self {
            success: end.outcome == Outcome::Applied,
            message: end.message.clone(),
            timestamp: end.at,
            error: end.error.clone(),
        }
    }
}

impl Reported {
    /// `command_result`: `{commandId, success, message?, error?}`.
    ///
    /// # Errors
    /// 422 that names the field.
    pub fn from_fields(fields: &mut Fields) -> Result<Self, ApiError> {
        Ok(Self {
            id: fields.required("commandId")?,
            success: fields.required("success")?,
            message: fields.optional("message")?,
            error: fields.optional("error")?,
        })
    }
}
