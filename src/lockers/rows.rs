//! The SQL of lockers: those that were made here, and the locks of enabled mirrored areas.

use rusqlite::{Connection, OptionalExtension as _, Row, params};

use super::{Locker, State};
use crate::areas::EntityId;
use crate::clock::Timestamp;
use crate::ids::{ClientId, KioskId, LockerId};
use crate::store::row_limit;

const COLUMNS: &str = "id, kiosk_id, state, created_at, updated_at";

/// Both kinds. A lock of which nothing was heard yet is there since its area is.
const ALL: &str = "(
    SELECT id, kiosk_id, state, created_at, updated_at, 0 AS is_mirrored FROM lockers
    UNION ALL
    SELECT e.entity_id, a.id, coalesce(s.state, 'unknown'), coalesce(s.created_at, a.created_at),
        coalesce(s.updated_at, a.created_at), 1
    FROM area_entities e
    JOIN areas a ON a.id = e.area_id AND a.source = 'homeassistant' AND a.is_enabled
    LEFT JOIN lock_states s ON s.entity_id = e.entity_id
    WHERE e.entity_id >= 'lock.' AND e.entity_id < 'lock/')";

fn read(row: &Row<'_>) -> rusqlite::Result<Locker> {
    Ok(Locker {
        id: row.get(0)?,
        kiosk_id: row.get(1)?,
        state: row.get(2)?,
        created_at: row.get(3)?,
        updated_at: row.get(4)?,
        is_mirrored: row.get(5)?,
    })
}

/// One locker.
///
/// # Errors
/// SQLite's.
pub fn find(connection: &Connection, id: &LockerId) -> rusqlite::Result<Option<Locker>> {
    connection
        .prepare_cached(&format!(
            "SELECT {COLUMNS}, is_mirrored FROM {ALL} WHERE id = ?1"
        ))?
        .query_row([id], read)
        .optional()
}

/// Whose lockers: of its kiosk, and the locks of its areas.
#[derive(Clone, Debug)]
pub struct Of {
    /// The tablet.
    pub client: ClientId,
    /// Where it stands.
    pub kiosk: KioskId,
}

/// Lockers by their id, at most `limit`, after the one named; only those of a tablet if given.
///
/// # Errors
/// SQLite's.
pub fn page(
    connection: &Connection,
    of: Option<&Of>,
    after: Option<&str>,
    limit: usize,
) -> rusqlite::Result<Vec<Locker>> {
    let after = after.unwrap_or_default();
    let limit = row_limit(limit);
    match of {
        None => connection
            .prepare_cached(&format!(
                "SELECT {COLUMNS}, is_mirrored FROM {ALL} WHERE id > ?1 ORDER BY id LIMIT ?2"
            ))?
            .query_map(params![after, limit], read)?
            .collect(),
        Some(Of { client, kiosk }) => connection
            .prepare_cached(&format!(
                "SELECT {COLUMNS}, is_mirrored FROM {ALL} WHERE id > ?1 AND (kiosk_id = ?3
                     OR is_mirrored AND kiosk_id IN (
                         SELECT area_id FROM client_areas WHERE client_id = ?4))
                 ORDER BY id LIMIT ?2"
            ))?
            .query_map(params![after, limit, kiosk, client], read)?
            .collect(),
    }
}

/// Whether a locker is a tablet's, as [`page`] has it.
///
/// # Errors
/// SQLite's.
pub fn is_of(connection: &Connection, locker: &Locker, of: &Of) -> rusqlite::Result<bool> {
    if locker.kiosk_id == of.kiosk {
        return Ok(true);
    }
    let is_in_its_area = "SELECT EXISTS (
        SELECT 1 FROM client_areas WHERE area_id = ?1 AND client_id = ?2)";
    Ok(locker.is_mirrored
        && connection
            .prepare_cached(is_in_its_area)?
            .query_row(params![locker.kiosk_id, of.client], |row| row.get(0))?)
}

/// False when its id is taken.
pub(super) fn insert(connection: &Connection, locker: &Locker) -> rusqlite::Result<bool> {
    connection
        .prepare_cached(&format!(
            "INSERT OR IGNORE INTO lockers ({COLUMNS}) VALUES (?1, ?2, ?3, ?4, ?5)"
        ))?
        .execute(params![
            locker.id,
            locker.kiosk_id,
            locker.state,
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

/// The state of a lock that was heard last.
pub(super) fn heard(connection: &Connection, entity: &EntityId) -> rusqlite::Result<Option<State>> {
    connection
        .prepare_cached("SELECT state FROM lock_states WHERE entity_id = ?1")?
        .query_row([entity.as_str()], |row| row.get(0))
        .optional()
}

/// Keeps the state of a lock, and forgets locks that no area holds any more.
pub(super) fn keep_heard(
    connection: &Connection,
    entity: &EntityId,
    state: &State,
    now: Timestamp,
) -> rusqlite::Result<()> {
    connection
        .prepare_cached(
            "INSERT INTO lock_states (entity_id, state, created_at, updated_at)
             VALUES (?1, ?2, ?3, ?3)
             ON CONFLICT (entity_id) DO UPDATE SET state = ?2, updated_at = ?3",
        )?
        .execute(params![entity.as_str(), state, now])?;
    connection
        .prepare_cached(
            "DELETE FROM lock_states WHERE NOT EXISTS (
                 SELECT 1 FROM area_entities e WHERE e.entity_id = lock_states.entity_id)",
        )?
        .execute([])?;
    Ok(())
}
