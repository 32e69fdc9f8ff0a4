//! The SQL of commands.

use rusqlite::{Connection, OptionalExtension as _, Row, params};
use wallcast_core::clock::Timestamp;
use wallcast_core::event::to_json;
use wallcast_core::ids::{ClientId, CommandId};
use wallcast_core::store::{WriteTx, row_limit};

use super::command::{Command, CommandOutcome, CommandResult, Instruction};

const COLUMNS: &str = "number, id, client_id, kiosk_id, type, locker_id, parameters, event_id, \
    created_at, expires_at, outcome, message, error, finished_at";

fn read(row: &Row<'_>) -> rusqlite::Result<Command> {
    let parameters: Option<String> = row.get(6)?;
    let (created_at, expires_at): (Timestamp, Timestamp) = (row.get(8)?, row.get(9)?);
    let outcome: Option<String> = row.get(10)?;
    let outcome = outcome.map(|text| match text.as_str() {
        "applied" => CommandOutcome::Applied,
        "failed" => CommandOutcome::Failed,
        _ => CommandOutcome::Expired,
    });
    let result = match outcome {
        None => None,
        Some(outcome) => Some(CommandResult {
            outcome,
            message: row.get(11)?,
            error: row.get(12)?,
            finished_at: row.get::<_, Option<_>>(13)?.unwrap_or(expires_at),
        }),
    };
    Ok(Command {
        number: row.get(0)?,
        id: row.get(1)?,
        client_id: row.get(2)?,
        kiosk_id: row.get(3)?,
        instruction: Instruction {
            command_type: row.get(4)?,
            locker_id: row.get(5)?,
            parameters: parameters.and_then(|json| serde_json::from_str(&json).ok()),
            ttl_seconds: (expires_at.unix_ms() - created_at.unix_ms()) / 1000,
        },
        event_id: row.get(7)?,
        created_at,
        expires_at,
        result,
    })
}

pub fn find(connection: &Connection, id: &CommandId) -> rusqlite::Result<Option<Command>> {
    connection
        .prepare_cached(&format!("SELECT {COLUMNS} FROM commands WHERE id = ?1"))?
        .query_row([id], read)
        .optional()
}

/// At most `limit` commands with numbers below `before`, newest first; of `client` alone if given.
pub fn page(
    connection: &Connection,
    client: Option<&ClientId>,
    before: Option<i64>,
    limit: usize,
) -> rusqlite::Result<Vec<Command>> {
    let before = before.unwrap_or(i64::MAX);
    let limit = row_limit(limit);
    match client {
        None => connection
            .prepare_cached(&format!(
                "SELECT {COLUMNS} FROM commands WHERE number < ?1 ORDER BY number DESC LIMIT ?2"
            ))?
            .query_map(params![before, limit], read)?
            .collect(),
        Some(client) => connection
            .prepare_cached(&format!(
                "SELECT {COLUMNS} FROM commands WHERE client_id = ?3 AND number < ?1
                 ORDER BY number DESC LIMIT ?2"
            ))?
            .query_map(params![before, limit, client], read)?
            .collect(),
    }
}

/// A client's commands without a result, oldest first.
pub(super) fn open(
    connection: &Connection,
    client: &ClientId,
    at_most: usize,
) -> rusqlite::Result<Vec<Command>> {
    connection
        .prepare_cached(&format!(
            "SELECT {COLUMNS} FROM commands WHERE client_id = ?1 AND outcome IS NULL
             ORDER BY number LIMIT ?2"
        ))?
        .query_map(params![client, row_limit(at_most)], read)?
        .collect()
}

/// How many of a client's commands have no result. Counts to `at_most` only.
pub(super) fn count_open(
    connection: &Connection,
    client: &ClientId,
    at_most: usize,
) -> rusqlite::Result<usize> {
    connection
        .prepare_cached(
            "SELECT count(*) FROM (SELECT 1 FROM commands
             WHERE client_id = ?1 AND outcome IS NULL LIMIT ?2)",
        )?
        .query_row(params![client, row_limit(at_most)], |row| {
            row.get::<_, i64>(0)
        })
        .map(|count| usize::try_from(count).unwrap_or_default())
}

/// At most `at_most` commands without a result that are past their expiry.
pub(super) fn overdue(
    connection: &Connection,
    now: Timestamp,
    at_most: usize,
) -> rusqlite::Result<Vec<Command>> {
    connection
        .prepare_cached(&format!(
            "SELECT {COLUMNS} FROM commands WHERE outcome IS NULL AND expires_at <= ?1
             ORDER BY expires_at LIMIT ?2"
        ))?
        .query_map(params![now, row_limit(at_most)], read)?
        .collect()
}

/// When the next command without a result expires.
pub fn next_expiry(connection: &Connection) -> rusqlite::Result<Option<Timestamp>> {
    connection
        .prepare_cached("SELECT min(expires_at) FROM commands WHERE outcome IS NULL")?
        .query_row([], |row| row.get(0))
}

/// Inserts a command and returns its number.
pub(super) fn insert(connection: &Connection, command: &Command) -> rusqlite::Result<i64> {
    connection
        .prepare_cached(
            "INSERT INTO commands (id, client_id, kiosk_id, type, locker_id, parameters, event_id,
                                   created_at, expires_at)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
        )?
        .execute(params![
            command.id,
            command.client_id,
            command.kiosk_id,
            command.instruction.command_type,
            command.instruction.locker_id,
            command.instruction.parameters.as_ref().map(to_json),
            command.event_id,
            command.created_at,
            command.expires_at,
        ])?;
    Ok(connection.last_insert_rowid())
}

pub(super) fn finish(
    connection: &Connection,
    number: i64,
    result: &CommandResult,
) -> rusqlite::Result<()> {
    connection
        .prepare_cached(
            "UPDATE commands SET outcome = ?2, message = ?3, error = ?4, finished_at = ?5
             WHERE number = ?1",
        )?
        .execute(params![
            number,
            result.outcome.as_str(),
            result.message,
            result.error,
            result.finished_at
        ])?;
    Ok(())
}

/// Deletes at most `at_most` commands that finished before `before`. Returns how many.
pub fn delete_finished(
    tx: &mut WriteTx<'_>,
    before: Timestamp,
    at_most: usize,
) -> rusqlite::Result<usize> {
    tx.connection()
        .prepare_cached(
            "DELETE FROM commands WHERE number IN
               (SELECT number FROM commands WHERE finished_at < ?1 LIMIT ?2)",
        )?
        .execute(params![before, row_limit(at_most)])
}
