//! The SQL of stored responses.

use rusqlite::{Connection, OptionalExtension as _, params};

use super::{Hash, Key, StoredResponse};
use crate::clock::Timestamp;
use crate::store::row_limit;

/// The response stored in this scope after `since`, with the hash of its request's body.
pub(super) fn find(
    connection: &Connection,
    scope: &Hash,
    since: Timestamp,
) -> rusqlite::Result<Option<(Hash, StoredResponse)>> {
    connection
        .prepare_cached(
            "SELECT request, status, body FROM answers WHERE scope = ?1 AND created_at > ?2",
        )?
        .query_row(params![scope, since], |row| {
            let response = StoredResponse {
                status: row.get(1)?,
                body: row.get(2)?,
            };
            Ok((row.get(0)?, response))
        })
        .optional()
}

/// Stores a response; replaces an expired one in the same scope.
pub(super) fn insert(
    connection: &Connection,
    key: &Key,
    response: &StoredResponse,
    now: Timestamp,
) -> rusqlite::Result<()> {
    connection
        .prepare_cached(
            "INSERT OR REPLACE INTO answers (scope, request, status, body, created_at)
             VALUES (?1, ?2, ?3, ?4, ?5)",
        )?
        .execute(params![
            key.scope,
            key.request,
            response.status,
            response.body,
            now
        ])?;
    Ok(())
}

pub(super) fn delete_before(
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
