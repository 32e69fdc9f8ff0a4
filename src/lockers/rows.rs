//! The SQL of lockers.

use rusqlite::{Connection, OptionalExtension as _, Row, params};

use super::Locker;
use crate::ids::LockerId;
use crate::store::row_limit;

const COLUMNS: &str = "id, kiosk_id, state, is_mirrored, created_at, updated_at";

fn read(row: &Row<'_>) -> rusqlite::Result<Locker> {
    Ok(Locker {
        id: row.get(0)?,
        kiosk_id: row.get(1)?,
        state: row.get(2)?,
        is_mirrored: row.get(3)?,
        created_at: row.get(4)?,
        updated_at: row.get(5)?,
    })
}

/// One locker.
///
/// # Errors
/// SQLite's.
pub fn find(connection: &Connection, id: &LockerId) -> rusqlite::Result<Option<Locker>> {
    connection
        .prepare_cached(&format!("SELECT {COLUMNS} FROM lockers WHERE id = ?1"))?
        .query_row([id], read)
        .optional()
}

/// Lockers by their id, at most `limit`, after the one named; only those of `kiosk` if given.
///
/// # Errors
/// SQLite's.
pub fn page(
    connection: &Connection,
    kiosk: Option<&str>,
    after: Option<&str>,
    limit: usize,
) -> rusqlite::Result<Vec<Locker>> {
    let after = after.unwrap_or_default();
    let limit = row_limit(limit);
    match kiosk {
        None => connection
            .prepare_cached(&format!(
                "SELECT {COLUMNS} FROM lockers WHERE id > ?1 ORDER BY id LIMIT ?2"
            ))?
            .query_map(params![after, limit], read)?
            .collect(),
        Some(kiosk) => connection
            .prepare_cached(&format!(
                "SELECT {COLUMNS} FROM lockers WHERE kiosk_id = ?3 AND id > ?1 ORDER BY id LIMIT ?2"
            ))?
            .query_map(params![after, limit, kiosk], read)?
            .collect(),
    }
}

/// Every locker that is a lock of Home Assistant's.
pub(super) fn mirrored(connection: &Connection) -> rusqlite::Result<Vec<Locker>> {
    connection
        .prepare_cached(&format!(
            "SELECT {COLUMNS} FROM lockers WHERE is_mirrored = 1 ORDER BY id"
        ))?
        .query_map([], read)?
        .collect()
}

/// False when its id is taken.
pub(super) fn insert(connection: &Connection, locker: &Locker) -> rusqlite::Result<bool> {
    connection
        .prepare_cached(&format!(
            "INSERT OR IGNORE INTO lockers ({COLUMNS}) VALUES (?1, ?2, ?3, ?4, ?5, ?6)"
        ))?
        .execute(params![
            locker.id,
            locker.kiosk_id,
            locker.state,
            locker.is_mirrored,
            locker.created_at,
            locker.updated_at
        ])
        .map(|inserted| inserted > 0)
}

pub(super) fn update(connection: &Connection, locker: &Locker) -> rusqlite::Result<()> {
    connection
        .prepare_cached(
            "UPDATE lockers SET kiosk_id = ?2, state = ?3, updated_at = ?4 WHERE id = ?1",
        )?
        .execute(params![
            locker.id,
            locker.kiosk_id,
            locker.state,
            locker.updated_at
        ])?;
    Ok(())
}

pub(super) fn delete(connection: &Connection, id: &LockerId) -> rusqlite::Result<bool> {
    connection
        .prepare_cached("DELETE FROM lockers WHERE id = ?1")?
        .execute([id])
        .map(|deleted| deleted > 0)
}
