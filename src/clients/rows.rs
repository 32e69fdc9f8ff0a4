//! SQL of clients.

use rusqlite::{Connection, OptionalExtension as _, Row, params};
use wallcast_core::clock::Timestamp;
use wallcast_core::event::EventId;
use wallcast_core::ids::{ClientId, KioskId};
use wallcast_core::store::row_limit;

use super::client::{Client, ClientName};

const COLUMNS: &str = "id, name, is_active, organization_id, tenant_id, kiosk_id, platform, \
    created_at, last_seen_at, last_acked_event_id";

fn read(row: &Row<'_>) -> rusqlite::Result<Client> {
    Ok(Client {
        id: row.get(0)?,
        name: ClientName::from_stored(row.get(1)?),
        is_active: row.get(2)?,
        organization_id: row.get(3)?,
        tenant_id: row.get(4)?,
        kiosk_id: row.get(5)?,
        platform: row.get(6)?,
        created_at: row.get(7)?,
        last_seen_at: row.get(8)?,
        last_acked_event_id: row.get(9)?,
    })
}

pub fn find(connection: &Connection, id: &ClientId) -> rusqlite::Result<Option<Client>> {
    connection
        .prepare_cached(&format!("SELECT {COLUMNS} FROM clients WHERE id = ?1"))?
        .query_row([id], read)
        .optional()
}

/// At most `limit` clients in order of their id, starting after `after`.
pub fn page(
    connection: &Connection,
    after: Option<&str>,
    limit: usize,
) -> rusqlite::Result<Vec<Client>> {
    connection
        .prepare_cached(&format!(
            "SELECT {COLUMNS} FROM clients WHERE id > ?1 ORDER BY id LIMIT ?2"
        ))?
        .query_map(params![after.unwrap_or_default(), row_limit(limit)], read)?
        .collect()
}

/// At most `limit` clients of a kiosk, in order of their id. A client without a kiosk is one by itself.
pub fn at_kiosk(
    connection: &Connection,
    kiosk: &KioskId,
    limit: usize,
) -> rusqlite::Result<Vec<Client>> {
    connection
        .prepare_cached(&format!(
            "SELECT {COLUMNS} FROM clients WHERE kiosk_id = ?1
             UNION ALL SELECT {COLUMNS} FROM clients WHERE id = ?1 AND kiosk_id IS NULL
             ORDER BY id LIMIT ?2"
        ))?
        .query_map(params![kiosk, row_limit(limit)], read)?
        .collect()
}

pub(super) fn set_last_seen(
    connection: &Connection,
    id: &ClientId,
    at: Timestamp,
) -> rusqlite::Result<()> {
    connection
        .prepare_cached("UPDATE clients SET last_seen_at = ?2 WHERE id = ?1")?
        .execute(params![id, at])?;
    Ok(())
}

/// Stores the newest acknowledged event. An older one than stored changes nothing.
pub(super) fn set_acked(
    connection: &Connection,
    id: &ClientId,
    acked: EventId,
) -> rusqlite::Result<()> {
    connection
        .prepare_cached(
            "UPDATE clients SET last_acked_event_id = ?2
             WHERE id = ?1 AND coalesce(last_acked_event_id, -1) < ?2",
        )?
        .execute(params![id, acked])?;
    Ok(())
}

/// Inserts a client, or updates the columns that can change.
pub(super) fn save(connection: &Connection, client: &Client) -> rusqlite::Result<()> {
    connection
        .prepare_cached(&format!(
            "INSERT INTO clients ({COLUMNS}) VALUES (?1,?2,?3,?4,?5,?6,?7,?8,?9,?10)
             ON CONFLICT (id) DO UPDATE SET name = ?2, is_active = ?3, organization_id = ?4,
             tenant_id = ?5, kiosk_id = ?6, platform = ?7"
        ))?
        .execute(params![
            client.id,
            client.name.as_str(),
            client.is_active,
            client.organization_id,
            client.tenant_id,
            client.kiosk_id,
            client.platform,
            client.created_at,
            client.last_seen_at,
            client.last_acked_event_id,
        ])?;
    Ok(())
}

pub(super) fn delete(connection: &Connection, id: &ClientId) -> rusqlite::Result<()> {
    connection
        .prepare_cached("DELETE FROM clients WHERE id = ?1")?
        .execute([id])?;
    Ok(())
}
