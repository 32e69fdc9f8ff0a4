//! What becomes of a command: how far it is, what its tablet says of it, and how it ends. Its only
//! end is its first word, save that a late one counts more than none.

use super::{Command, CommandError, Remark, events, rows};
use crate::clients;
use wallcast_core::auth::{Principal, Subject};
use wallcast_core::clock::Timestamp;
use wallcast_core::event::EventId;
use wallcast_core::ids::CommandId;
use wallcast_core::store::WriteTx;

/// What became of a command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct End {
    /// In one word.
    pub outcome: Outcome,
    /// What the tablet said of it.
    pub message: Option<Remark>,
    /// What went wrong, in the tablet's words.
    pub error: Option<Remark>,
    /// When it was known.
    pub at: Timestamp,
}

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The tablet did it.
    Applied,
    /// The tablet could not.
    Failed,
    /// Nothing was heard of it in time.
    Expired,
}

impl Outcome {
    /// The word in the store.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Applied => "applied",
            Self::Failed => "failed",
            Self::Expired => "expired",
        }
    }
}

/// How far a command is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// It waits for the tablet.
    Pending,
    /// The tablet has acknowledged it.
    Delivered,
    /// Its outcome is known.
    Ended(Outcome),
}

impl Status {
    /// The word on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Delivered => "delivered",
            Self::Ended(outcome) => outcome.as_str(),
        }
    }
}

impl Command {
    /// How far it is at this moment, while its tablet has acknowledged events up to `acked`.
    pub fn status(&self, acked: Option<EventId>, now: Timestamp) -> Status {
        match &self.end {
            Some(end) => Status::Ended(end.outcome),
            None if self.expires_at <= now => Status::Ended(Outcome::Expired),
            None if acked >= Some(self.event_id) => Status::Delivered,
            None => Status::Pending,
        }
    }
}

/// What a tablet says of a command (contract 4.5, `command_result`).
#[derive(Clone, Debug)]
pub struct Reported {
    /// Which command.
    pub id: CommandId,
    /// Whether it did it.
    pub success: bool,
    /// What there is to say.
    pub message: Option<Remark>,
    /// What went wrong.
    pub error: Option<Remark>,
}

/// Keeps a tablet's word on its own command and tells it. The same word again tells nothing, so that
/// a tablet whose answer was lost may say it once more. One that comes after the expiry counts: what
/// was done was done.
///
/// # Errors
/// [`CommandError`].
pub fn report(
    tx: &mut WriteTx<'_>,
    reported: Reported,
    principal: &Principal,
) -> Result<Command, CommandError> {
    let Subject::Client(client) = &principal.subject else {
        return Err(CommandError::Forbidden);
    };
    let mut command = rows::find(tx.connection(), &reported.id)?
        .filter(|command| command.client_id == *client)
        .ok_or(CommandError::Forbidden)?;
    let outcome = match reported.success {
        true => Outcome::Applied,
        false => Outcome::Failed,
    };
    match command.end.as_ref().map(|end| end.outcome) {
        None | Some(Outcome::Expired) => {}
        Some(before) if before == outcome => return Ok(command),
        Some(_) => return Err(CommandError::Ended),
    }
    let end = End {
        outcome,
        message: reported.message,
        error: reported.error,
        at: tx.now(),
    };
    finish(tx, &mut command, end)?;
    Ok(command)
}

/// Ends at most `at_most` commands whose time is over.
///
/// # Errors
/// SQLite's.
pub fn expire(tx: &mut WriteTx<'_>, at_most: usize) -> rusqlite::Result<()> {
    for mut command in rows::overdue(tx.connection(), tx.now(), at_most)? {
        let end = End {
            outcome: Outcome::Expired,
            message: None,
            error: "expired".parse().ok(),
            at: tx.now(),
        };
        finish(tx, &mut command, end)?;
    }
    Ok(())
}

/// Ends a command and tells of it.
fn finish(tx: &mut WriteTx<'_>, command: &mut Command, end: End) -> rusqlite::Result<()> {
    rows::finish(tx.connection(), command.number, &end)?;
    let client = clients::find(tx.connection(), &command.client_id)?;
    // One that is gone since has no room of its own any more.
    let room = match &client {
        Some(client) => client.kiosk(),
        None => command.kiosk_id.clone(),
    };
    let name = client.map(|client| client.name);
    tx.publish(events::applied(command, &end, &room, tx.now()))?;
    tx.announce(events::announced(command, &end, name.as_ref(), tx.now()));
    command.end = Some(end);
    Ok(())
}
