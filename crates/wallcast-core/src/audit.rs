//! The audit log: which admin changed what, when, and from which address.
//! Each entry is written in the transaction of the change that it records.

use rusqlite::{Connection, params};

use crate::auth::Subject;
use crate::clock::Timestamp;
use crate::store::{WriteTx, row_limit};

/// The principal that makes a change.
#[derive(Clone, Debug)]
pub struct Actor {
    /// The principal as `role:id`.
    pub principal: String,
    /// The peer's IP address, or `local` on the command line's socket.
    pub address: String,
}

impl Actor {
    /// The actor for an authenticated principal that connects from `address`.
    pub fn new(subject: &Subject, address: String) -> Self {
        Self {
            principal: subject.to_string(),
            address,
        }
    }
}

/// One entry of the audit log.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Rising row id, used as the cursor of [`page`].
    pub id: i64,
    /// When the change was made.
    pub at: Timestamp,
    /// The principal as `role:id`.
    pub actor: String,
    /// What was done, as `thing.verb`.
    pub action: String,
    /// The id of the thing that was changed.
    pub target: Option<String>,
    /// The peer's IP address, or `local`.
    pub address: String,
    /// A short description without secrets.
    pub detail: String,
}

/// Appends an entry in the transaction of the change. `detail` must not contain a secret.
///
/// # Errors
/// If the database fails.
pub fn record(
    tx: &WriteTx<'_>,
    actor: &Actor,
    action: &str,
    target: Option<&str>,
    detail: &str,
) -> rusqlite::Result<()> {
    tx.connection()
        .prepare_cached(
            "INSERT INTO audit (at, actor, action, target, address, detail)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        )?
        .execute(params![
            tx.now(),
            actor.principal,
            action,
            target,
            actor.address,
            detail
        ])?;
    Ok(())
}

/// Reads at most `limit` entries with an id below `before`, newest first.
///
/// # Errors
/// If the database fails.
pub fn page(
    connection: &Connection,
    before: Option<i64>,
    limit: usize,
) -> rusqlite::Result<Vec<Entry>> {
    connection
        .prepare_cached(
            "SELECT id, at, actor, action, target, address, detail FROM audit
             WHERE id < ?1 ORDER BY id DESC LIMIT ?2",
        )?
        .query_map(
            params![before.unwrap_or(i64::MAX), row_limit(limit)],
            |row| {
                Ok(Entry {
                    id: row.get(0)?,
                    at: row.get(1)?,
                    actor: row.get(2)?,
                    action: row.get(3)?,
                    target: row.get(4)?,
                    address: row.get(5)?,
                    detail: row.get(6)?,
                })
            },
        )?
        .collect()
}

/// Deletes at most `at_most` entries older than `before`. Returns how many were deleted.
///
/// # Errors
/// If the database fails.
pub fn delete_before(
    tx: &mut WriteTx<'_>,
    before: Timestamp,
    at_most: usize,
) -> rusqlite::Result<usize> {
    tx.connection()
        .prepare_cached(
            "DELETE FROM audit WHERE id IN (SELECT id FROM audit WHERE at < ?1 LIMIT ?2)",
        )?
        .execute(params![before, row_limit(at_most)])
}
