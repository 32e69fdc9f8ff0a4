//! Every act of an admin: who, what, when and from where (contract section 3).

use rusqlite::{Connection, params};

use crate::auth::Subject;
use crate::clock::Timestamp;
use crate::store::{WriteTx, row_limit};

/// Who acts, and from where.
#[derive(Clone, Debug)]
pub struct Actor {
    /// The principal, as `role:id`.
    pub who: String,
    /// An address, or `local` on the command line's socket.
    pub address: String,
}

impl Actor {
    /// A proven principal, and where it speaks from.
    pub fn new(subject: &Subject, address: String) -> Self {
        Self {
            who: subject.to_string(),
            address,
        }
    }
}

/// One kept act.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Its place in the record.
    pub id: i64,
    /// When.
    pub at: Timestamp,
    /// Who, as `role:id`.
    pub actor: String,
    /// What, as `thing.verb`.
    pub action: String,
    /// On which thing.
    pub target: Option<String>,
    /// From where.
    pub address: String,
    /// In a few words, never a secret.
    pub detail: String,
}

/// Keeps an act in the transaction of the change that it made.
///
/// # Errors
/// SQLite's.
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
            actor.who,
            action,
            target,
            actor.address,
            detail
        ])?;
    Ok(())
}

/// Acts from newest to oldest, at most `limit`, older than the entry `before`.
///
/// # Errors
/// SQLite's.
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

/// Forgets at most `at_most` acts from before then, and says how many.
///
/// # Errors
/// SQLite's.
pub fn forget(tx: &mut WriteTx<'_>, before: Timestamp, at_most: usize) -> rusqlite::Result<usize> {
    tx.connection()
        .prepare_cached(
            "DELETE FROM audit WHERE id IN (SELECT id FROM audit WHERE at < ?1 LIMIT ?2)",
        )?
        .execute(params![before, row_limit(at_most)])
}
