//! The SQL of kept answers.

use rusqlite::{Connection, OptionalExtension as _, params};

use super::{Hash, Kept, Key};
use crate::clock::Timestamp;
use crate::store::row_limit;

/// What was answered in this scope after `since`, and the hash of the request that it answered.
pub(super) fn find(
    connection: &Connection,
    scope: &Hash,
    since: Timestamp,
) -> rusqlite::Result<Option<(Hash, Kept)>> {
    connection
        .prepare_cached(
            "SELECT request, status, body FROM answers WHERE scope = ?1 AND created_at > ?2",
        )?
        .query_row(params![scope, since], |row| {
            let kept = Kept {
                status: row.get(1)?,
                body: row.get(2)?,
            };
            Ok((row.get(0)?, kept))
        })
        .optional()
}

/// Keeps an answer in the place of one whose time is over.
pub(super) fn insert(
    connection: &Connection,
    key: &Key,
    kept: &Kept,
    now: Timestamp,
) -> rusqlite::Result<()> {
    connection
        .prepare_cached(
            "INSERT OR REPLACE INTO answers (scope, request, status, body, created_at)
             VALUES (?1, ?2, ?3, ?4, ?5)",
        )?
        .execute(params![key.scope, key.request, kept.status, kept.body, now])?;
    Ok(())
}

pub(super) fn forget(
    connection: &Connection,
    before: Timestamp,
    at_most: usize,
) -> rusqlite::Result<usize> {
    connection
        .prepare_cached(
            "DELETE FROM answers WHERE id IN
               (SELECT id FROM answers WHERE created_at < ?1 LIMIT ?2)",
        )?
        .execute(params![before, row_limit(at_most)])
}
