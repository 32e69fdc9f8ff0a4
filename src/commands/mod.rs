//! Commands to clients, each with an outcome that is known for certain (docs/protocol.md#commands).
//!
//! A command is *pending* until its client acknowledges its event. Writing to a socket does not
//! prove delivery, because the connection may be dead. After the acknowledgement it is *delivered*.
//! The client's `command_result` makes it *applied* or *failed*. Without one it becomes *expired*
//! at `expires_at`.

mod command;
mod error;
mod events;
mod results;
mod rows;
mod wire;

use rusqlite::Connection;
use wallcast_core::audit::{self, Actor};
use wallcast_core::auth::Principal;
use wallcast_core::clock::Timestamp;
use wallcast_core::event::{Epoch, Event, EventId, Position};
use wallcast_core::ids::{ClientId, CommandId};
use wallcast_core::store::WriteTx;

use crate::clients::{self, Acks, Client, ClientError};

pub use command::{
    Command, CommandOutcome, CommandReport, CommandResult, CommandStatus, CommandTarget,
    CommandType, DEFAULT_TTL, Instruction, MAX_OPEN, MAX_PARAMETERS, MAX_TABLETS, MAX_TTL,
    ResultText,
};
pub use error::CommandError;
pub use results::{expire, report};
pub use rows::{delete_finished, find, next_expiry, page};
pub use wire::CommandJson;

/// Sends a command to each client of the target: one command per client, all or none. The result is
/// never empty.
///
/// # Errors
/// The target has no clients or too many, or a client has [`MAX_OPEN`] open commands.
pub fn send(
    tx: &mut WriteTx<'_>,
    instruction: &Instruction,
    target: &CommandTarget,
    actor: &Actor,
) -> Result<Vec<Command>, CommandError> {
    target_clients(tx.connection(), target)?
        .iter()
        .map(|client| send_to(tx, instruction, client, actor))
        .collect()
}

fn target_clients(db: &Connection, target: &CommandTarget) -> Result<Vec<Client>, CommandError> {
    match target {
        CommandTarget::Client(id) => match clients::expect(db, id) {
            Ok(client) => Ok(vec![client]),
            Err(ClientError::Store(error)) => Err(error.into()),
            Err(_) => Err(CommandError::UnknownClient(id.clone())),
        },
        CommandTarget::Kiosk(kiosk) => {
            let clients = clients::at_kiosk(db, kiosk, MAX_TABLETS + 1)?;
            match clients.len() {
                0 => Err(CommandError::EmptyKiosk(kiosk.clone())),
                1..=MAX_TABLETS => Ok(clients),
                _ => Err(CommandError::TooManyTablets),
            }
        }
    }
}

fn send_to(
    tx: &mut WriteTx<'_>,
    instruction: &Instruction,
    client: &Client,
    actor: &Actor,
) -> Result<Command, CommandError> {
    if rows::count_open(tx.connection(), &client.id, MAX_OPEN)? >= MAX_OPEN {
        return Err(CommandError::TooMany(client.id.clone()));
    }
    let mut command = Command {
        number: 0,
        id: CommandId::random(),
        instruction: instruction.clone(),
        client_id: client.id.clone(),
        kiosk_id: client.kiosk(),
        event_id: EventId::default(),
        created_at: tx.now(),
        expires_at: tx.now().plus_seconds(instruction.ttl_seconds),
        result: None,
    };
    command.event_id = tx.publish(events::command(&command))?;
    command.number = rows::insert(tx.connection(), &command)?;
    let detail = format!("{} to {}", command.instruction.command_type, client.id);
    let id = command.id.as_str();
    audit::record(tx, actor, "command.give", Some(id), &detail)?;
    Ok(command)
}

/// The found command, if the caller may see it: admins see every command, clients their own.
///
/// # Errors
/// [`CommandError::Forbidden`] or [`CommandError::Unknown`].
pub fn visible_to(principal: &Principal, found: Option<Command>) -> Result<Command, CommandError> {
    if principal.is_admin() {
        return found.ok_or(CommandError::Unknown);
    }
    let own = principal.client_id();
    found
        .filter(|command| Some(&command.client_id) == own)
        .ok_or(CommandError::Forbidden)
}

/// The `command` events of a client's pending commands up to the event `until`, oldest first, with
/// their original event ids.
pub fn pending(
    connection: &Connection,
    client: &ClientId,
    acks: &Acks,
    epoch: &Epoch,
    until: EventId,
    now: Timestamp,
) -> rusqlite::Result<Vec<Event>> {
    let acked = last_acked(connection, client, acks)?;
    let open = rows::open(connection, client, MAX_OPEN)?;
    let pending = open
        .iter()
        .filter(|command| command.event_id <= until)
        .filter(|command| command.status(acked, now) == CommandStatus::Pending);
    let event_of = |command: &Command| {
        let position = Position {
            epoch: epoch.clone(),
            id: command.event_id,
        };
        Event::durable(events::command(command), position, command.created_at)
    };
    Ok(pending.map(event_of).collect())
}

/// The newest event that a client has acknowledged, stored or not.
pub(crate) fn last_acked(
    connection: &Connection,
    client: &ClientId,
    acks: &Acks,
) -> rusqlite::Result<Option<EventId>> {
    let found = clients::find(connection, client)?;
    let stored = found.and_then(|found| found.last_acked_event_id);
    Ok(acks.newest(client, stored))
}
