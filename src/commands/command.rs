//! A command to a client, its status and its result.

use serde_json::Value;
use wallcast_core::clock::Timestamp;
use wallcast_core::event::EventId;
use wallcast_core::ids::{ClientId, CommandId, KioskId, LockerId};

use crate::text::{MultiLine, SingleLine};

/// How many commands of one client can be without a result.
pub const MAX_OPEN: usize = 50;
/// How many clients of a kiosk a command can go to.
pub const MAX_TABLETS: usize = 100;
/// Bytes of `parameters` as JSON.
pub const MAX_PARAMETERS: usize = 4096;
/// Seconds until a command expires, unless the request says otherwise.
pub const DEFAULT_TTL: i64 = 300;
/// The most seconds until a command expires.
pub const MAX_TTL: i64 = 7 * 86_400;

/// What the client is to do, such as `open`.
pub type CommandType = SingleLine<64>;
/// A client's message or error text about a result.
pub type ResultText = MultiLine<1, 1000>;

/// A command to one client.
#[derive(Clone, Debug, PartialEq)]
pub struct Command {
    /// Row number; lists are ordered by it.
    pub number: i64,
    pub id: CommandId,
    pub instruction: Instruction,
    pub client_id: ClientId,
    /// The client's kiosk when the command was sent.
    pub kiosk_id: KioskId,
    /// The `command` event.
    pub event_id: EventId,
    pub created_at: Timestamp,
    /// The client must not start the command after this.
    pub expires_at: Timestamp,
    /// `None` until the client reports or the command expires.
    pub result: Option<CommandResult>,
}

/// What a client is to do.
#[derive(Clone, Debug, PartialEq)]
pub struct Instruction {
    pub command_type: CommandType,
    pub locker_id: Option<LockerId>,
    /// Any JSON of at most [`MAX_PARAMETERS`] bytes.
    pub parameters: Option<Value>,
    /// Seconds until the command expires: 1 to [`MAX_TTL`].
    pub ttl_seconds: i64,
}

/// Which clients receive a command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CommandTarget {
    Client(ClientId),
    /// Every client at the kiosk.
    Kiosk(KioskId),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommandResult {
    pub outcome: CommandOutcome,
    pub message: Option<ResultText>,
    pub error: Option<ResultText>,
    pub finished_at: Timestamp,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CommandOutcome {
    Applied,
    Failed,
    /// The client reported nothing before `expires_at`.
    Expired,
}

impl CommandOutcome {
    /// The text in the database and in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Applied => "applied",
            Self::Failed => "failed",
            Self::Expired => "expired",
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CommandStatus {
    /// The client has not acknowledged the `command` event.
    Pending,
    /// The client has acknowledged the `command` event.
    Delivered,
    Finished(CommandOutcome),
}

impl CommandStatus {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Delivered => "delivered",
            Self::Finished(outcome) => outcome.as_str(),
        }
    }
}

impl Command {
    /// The status at `now`, if the client has acknowledged all events up to `acked`. A command past
    /// `expires_at` counts as expired even if that has not been stored yet.
    pub fn status(&self, acked: Option<EventId>, now: Timestamp) -> CommandStatus {
        match &self.result {
            Some(result) => CommandStatus::Finished(result.outcome),
            None if self.expires_at <= now => CommandStatus::Finished(CommandOutcome::Expired),
            None if acked >= Some(self.event_id) => CommandStatus::Delivered,
            None => CommandStatus::Pending,
        }
    }
}

/// The result that a client reports with `command_result` (docs/protocol.md#client-messages).
#[derive(Clone, Debug)]
pub struct CommandReport {
    pub id: CommandId,
    pub success: bool,
    pub message: Option<ResultText>,
    pub error: Option<ResultText>,
}
