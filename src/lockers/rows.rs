//! SQL of lockers.

use rusqlite::{Connection, OptionalExtension as _, Row, named_params, params};
use wallcast_core::ids::LockerId;
use wallcast_core::store::row_limit;

use super::locker::{Locker, LockerViewer};

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

pub fn find(connection: &Connection, id: &LockerId) -> rusqlite::Result<Option<Locker>> {
    connection
        .prepare_cached(&format!("SELECT {COLUMNS} FROM lockers WHERE id = ?1"))?
        .query_row([id], read)
        .optional()
}

/// The condition under which a client sees a locker. The kiosk of a mirrored locker is its area.
const IS_VISIBLE: &str = "(
    CASE WHEN is_mirrored THEN EXISTS (
        SELECT 1 FROM areas a WHERE a.id = kiosk_id AND a.is_enabled AND (
            a.id = :kiosk OR EXISTS (
                SELECT 1 FROM client_areas m WHERE m.area_id = a.id AND m.client_id = :client)))
    ELSE kiosk_id = :kiosk END)";

pub fn is_visible(
    connection: &Connection,
    viewer: &LockerViewer,
    id: &LockerId,
) -> rusqlite::Result<bool> {
    connection
        .prepare_cached(&format!(
            "SELECT EXISTS (SELECT 1 FROM lockers WHERE id = :id AND {IS_VISIBLE})"
        ))?
        .query_row(
            named_params! { ":id": id, ":kiosk": viewer.kiosk, ":client": viewer.client },
            |row| row.get(0),
        )
}

/// At most `limit` lockers in order of their id, starting after `after`; with `viewer`, only those visible to it.
pub fn page(
    connection: &Connection,
    viewer: Option<&LockerViewer>,
    after: Option<&str>,
    limit: usize,
) -> rusqlite::Result<Vec<Locker>> {
    let after = after.unwrap_or_default();
    let limit = row_limit(limit);
    match viewer {
        None => connection
            .prepare_cached(&format!(
                "SELECT {COLUMNS} FROM lockers WHERE id > ?1 ORDER BY id LIMIT ?2"
            ))?
            .query_map(params![after, limit], read)?
            .collect(),
        Some(viewer) => connection
            .prepare_cached(&format!(
                "SELECT {COLUMNS} FROM lockers WHERE id > :after AND {IS_VISIBLE}
                 ORDER BY id LIMIT :limit"
            ))?
            .query_map(
                named_params! {
                    ":after": after, ":limit": limit, ":kiosk": viewer.kiosk, ":client": viewer.client,
                },
                read,
            )?
            .collect(),
    }
}

/// Whether the area of a mirrored locker is enabled.
pub(super) fn is_in_enabled_area(connection: &Connection, id: &LockerId) -> rusqlite::Result<bool> {
    connection
        .prepare_cached(
            "SELECT EXISTS (SELECT 1 FROM lockers l JOIN areas a ON a.id = l.kiosk_id
             WHERE l.id = ?1 AND a.is_enabled)",
        )?
        .query_row([id], |row| row.get(0))
}

pub(super) fn mirrored(connection: &Connection) -> rusqlite::Result<Vec<Locker>> {
    connection
        .prepare_cached(&format!(
            "SELECT {COLUMNS} FROM lockers WHERE is_mirrored = 1 ORDER BY id"
        ))?
        .query_map([], read)?
        .collect()
}

/// False if the id is taken.
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
