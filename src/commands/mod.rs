//! Commands to tablets (seed 3), each with a proven outcome.
//!
//! A command is *pending* until its tablet has acknowledged its event: bytes that were handed to a
//! socket prove nothing, since the other end may be gone. Then it is *delivered*. The tablet's
//! `command_result` makes it *applied* or *failed*; without one it is *expired* at its time.

mod events;
mod outcome;
mod rows;
mod wire;

use rusqlite::Connection;
use serde_json::Value;

use crate::clients::{self, Acks, Client, ClientError};
use crate::text::{Line, Prose};
use wallcast_core::audit::{self, Actor};
use wallcast_core::auth::Principal;
use wallcast_core::clock::Timestamp;
use wallcast_core::event::{Epoch, Event, EventId, Position};
use wallcast_core::ids::{ClientId, CommandId, KioskId, LockerId};
use wallcast_core::store::{StoreError, WriteTx};

pub use outcome::{End, Outcome, Reported, Status, expire, report};
pub use rows::{find, next_expiry, page};
pub use wire::CommandJson;

/// Commands of one tablet that may wait for their outcome.
pub const MAX_OPEN: usize = 50;
/// Tablets of one kiosk that a command goes to.
pub const MAX_TABLETS: usize = 100;
/// Bytes of `parameters` as JSON.
pub const MAX_PARAMETERS: usize = 4096;
/// How long a command waits, in seconds, unless its admin says otherwise.
pub const DEFAULT_TTL: i64 = 300;
/// The longest that one may wait, in seconds.
pub const MAX_TTL: i64 = 7 * 86_400;

/// What is to be done, such as `open`.
pub type CommandType = Line<64>;
/// What a tablet says of an outcome.
pub type Remark = Prose<1000>;

/// A command to one tablet.
#[derive(Clone, Debug, PartialEq)]
pub struct Command {
    /// Its place in the order of commands.
    pub number: i64,
    /// Its id.
    pub id: CommandId,
    /// What is to be done.
    pub order: Order,
    /// By which tablet.
    pub client_id: ClientId,
    /// Where that stood when it was told.
    pub kiosk_id: KioskId,
    /// The event that tells the tablet.
    pub event_id: EventId,
    /// When it was given.
    pub created_at: Timestamp,
    /// The tablet is not to begin it after this.
    pub expires_at: Timestamp,
    /// What became of it.
    pub end: Option<End>,
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq)]
pub struct Order {
    /// Its type.
    pub kind: CommandType,
    /// With which locker.
    pub locker_id: Option<LockerId>,
    /// How: any JSON, at most [`MAX_PARAMETERS`].
    pub parameters: Option<Value>,
    /// How long it waits, in seconds: 1 to [`MAX_TTL`].
    pub ttl: i64,
}

/// Whom a command is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// One tablet.
    Client(ClientId),
    /// Each tablet of a kiosk.
    Kiosk(KioskId),
}

/// Why a command or its result was refused.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    /// It is not the caller's, or not there: nothing tells which.
    #[error("You may not do this")]
    Forbidden,
    /// There is no such command.
    #[error("There is no such command")]
    Unknown,
    /// It was sent to a tablet that is not there.
    #[error("There is no client {0}")]
    UnknownClient(ClientId),
    /// It was sent to a kiosk without tablets.
    #[error("No tablet stands at the kiosk {0}; give a client this kioskId first")]
    EmptyKiosk(KioskId),
    /// More than [`MAX_TABLETS`].
    #[error("More than 100 tablets stand at this kiosk; send the command to each client")]
    TooManyTablets,
    /// [`MAX_OPEN`] wait already.
    #[error("50 commands wait for client {0} already; wait until they end")]
    TooMany(ClientId),
    /// The tablet reported another outcome before.
    #[error("This command ended otherwise before; its outcome stands")]
    Ended,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<rusqlite::Error> for CommandError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Store(error.into())
    }
}

/// Gives a command to each tablet that it is for: as many commands, all or none. Never empty.
///
/// # Errors
/// [`CommandError`].
pub fn give(
    tx: &mut WriteTx<'_>,
    order: &Order,
    target: &Target,
    actor: &Actor,
) -> Result<Vec<Command>, CommandError> {
    tablets(tx.connection(), target)?
        .iter()
        .map(|client| give_to(tx, order, client, actor))
        .collect()
}

fn tablets(db: &Connection, target: &Target) -> Result<Vec<Client>, CommandError> {
    match target {
        Target::Client(id) => match clients::expect(db, id) {
            Ok(client) => Ok(vec![client]),
            Err(ClientError::Store(error)) => Err(error.into()),
            Err(_) => Err(CommandError::UnknownClient(id.clone())),
        },
        Target::Kiosk(kiosk) => {
            let tablets = clients::at_kiosk(db, kiosk, MAX_TABLETS + 1)?;
            match tablets.len() {
                0 => Err(CommandError::EmptyKiosk(kiosk.clone())),
                1..=MAX_TABLETS => Ok(tablets),
                _ => Err(CommandError::TooManyTablets),
            }
        }
    }
}

fn give_to(
    tx: &mut WriteTx<'_>,
    order: &Order,
    client: &Client,
    actor: &Actor,
) -> Result<Command, CommandError> {
    if rows::count_open(tx.connection(), &client.id, MAX_OPEN)? >= MAX_OPEN {
        return Err(CommandError::TooMany(client.id.clone()));
    }
    let mut command = Command {
        number: 0,
        id: CommandId::random(),
        order: order.clone(),
        client_id: client.id.clone(),
        kiosk_id: client.kiosk(),
        event_id: EventId::default(),
        created_at: tx.now(),
        expires_at: tx.now().plus_seconds(order.ttl),
        end: None,
    };
    command.event_id = tx.publish(events::command(&command))?;
    command.number = rows::insert(tx.connection(), &command)?;
    let detail = format!("{} to {}", command.order.kind, client.id);
    let id = command.id.as_str();
    audit::record(tx, actor, "command.give", Some(id), &detail)?;
    Ok(command)
}

/// A command as far as the caller may see it: an admin any, a tablet its own.
///
/// # Errors
/// [`CommandError::Forbidden`] or [`CommandError::Unknown`].
pub fn shown_to(principal: &Principal, found: Option<Command>) -> Result<Command, CommandError> {
    if principal.is_admin() {
        return found.ok_or(CommandError::Unknown);
    }
    let own = principal.client_id();
    found
        .filter(|command| Some(&command.client_id) == own)
        .ok_or(CommandError::Forbidden)
}

/// What waits for a tablet and was given no later than with the event `until`, oldest first, as the
/// events that told of it.
///
/// # Errors
/// SQLite's.
pub fn pending(
    connection: &Connection,
    client: &ClientId,
    acks: &Acks,
    epoch: &Epoch,
    until: EventId,
    now: Timestamp,
) -> rusqlite::Result<Vec<Event>> {
    let acked = acked_by(connection, client, acks)?;
    let open = rows::open(connection, client, MAX_OPEN)?;
    let pending = open
        .iter()
        .filter(|command| command.event_id <= until)
        .filter(|command| command.status(acked, now) == Status::Pending);
    let tell = |command: &Command| {
        let told = Position {
            epoch: epoch.clone(),
            id: command.event_id,
        };
        Event::durable(events::command(command), told, command.created_at)
    };
    Ok(pending.map(tell).collect())
}

/// How far a tablet has acknowledged its events.
pub(crate) fn acked_by(
    connection: &Connection,
    client: &ClientId,
    acks: &Acks,
) -> rusqlite::Result<Option<EventId>> {
    let found = clients::find(connection, client)?;
    let stored = found.and_then(|found| found.last_acked_event_id);
    Ok(acks.newest(client, stored))
}

/// Forgets at most `at_most` commands that ended before then, and says how many.
///
/// # Errors
/// SQLite's.
pub fn forget_finished(
    tx: &mut WriteTx<'_>,
    before: Timestamp,
    at_most: usize,
) -> rusqlite::Result<usize> {
    rows::forget_finished(tx.connection(), before, at_most)
}
