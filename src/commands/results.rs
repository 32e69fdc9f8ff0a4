//! How a command finishes: its client reports a result, or it expires. The first report is final,
//! but a report replaces an expiry.

use wallcast_core::auth::{Principal, Subject};
use wallcast_core::clock::Timestamp;
use wallcast_core::store::WriteTx;

use super::command::{Command, CommandOutcome, CommandReport, CommandResult};
use super::error::CommandError;
use super::{events, rows};
use crate::clients;

/// Stores the result that a client reports of its own command, and publishes it.
///
/// A repeated report with the same outcome changes and publishes nothing, so a client can send it
/// again when the response was lost. A report after the expiry is stored: the client did run the
/// command.
///
/// # Errors
/// [`CommandError::Forbidden`] if the command is not the caller's, [`CommandError::Finished`] if
/// another outcome was reported before, or a store error.
pub fn report(
    tx: &mut WriteTx<'_>,
    report: CommandReport,
    principal: &Principal,
) -> Result<Command, CommandError> {
    let Subject::Client(client) = &principal.subject else {
        return Err(CommandError::Forbidden);
    };
    let mut command = rows::find(tx.connection(), &report.id)?
        .filter(|command| command.client_id == *client)
        .ok_or(CommandError::Forbidden)?;
    let outcome = match report.success {
        true => CommandOutcome::Applied,
        false => CommandOutcome::Failed,
    };
    match command.result.as_ref().map(|result| result.outcome) {
        None | Some(CommandOutcome::Expired) => {}
        Some(before) if before == outcome => return Ok(command),
        Some(_) => return Err(CommandError::Finished),
    }
    let result = CommandResult {
        outcome,
        message: report.message,
        error: report.error,
        finished_at: tx.now(),
    };
    finish(tx, &mut command, result)?;
    Ok(command)
}

/// Finishes at most `at_most` commands that are past their expiry.
pub fn expire(tx: &mut WriteTx<'_>, at_most: usize) -> rusqlite::Result<()> {
    for mut command in rows::overdue(tx.connection(), tx.now(), at_most)? {
        let result = CommandResult {
            outcome: CommandOutcome::Expired,
            message: None,
            error: "expired".parse().ok(),
            finished_at: tx.now(),
        };
        finish(tx, &mut command, result)?;
    }
    Ok(())
}

fn finish(
    tx: &mut WriteTx<'_>,
    command: &mut Command,
    result: CommandResult,
) -> rusqlite::Result<()> {
    rows::finish(tx.connection(), command.number, &result)?;
    let client = clients::find(tx.connection(), &command.client_id)?;
    // A client that was deleted since has no kiosk; use the one that the command was sent to.
    let room = match &client {
        Some(client) => client.kiosk(),
        None => command.kiosk_id.clone(),
    };
    let name = client.map(|client| client.name);
    let now: Timestamp = tx.now();
    tx.publish(events::applied(command, &result, &room, now))?;
    tx.announce(events::announcement(command, &result, name.as_ref(), now));
    command.result = Some(result);
    Ok(())
}
