//! SQL of areas and of their assignments to clients.

use rusqlite::{Connection, OptionalExtension as _, Row, params};
use wallcast_core::entity_id::EntityId;
use wallcast_core::ids::{AreaId, ClientId};
use wallcast_core::store::row_limit;

use super::area::{Area, AreaName, AreaSource};

const COLUMNS: &str = "a.room_id, a.id, a.name, a.is_enabled, a.source, a.created_at, a.updated_at,
    (SELECT json_group_array(e.entity_id ORDER BY e.position) FROM area_entities e WHERE e.area_id = a.id)";

fn read(row: &Row<'_>) -> rusqlite::Result<Area> {
    let source: String = row.get(4)?;
    Ok(Area {
        room_id: row.get(0)?,
        id: row.get(1)?,
        name: AreaName::from_stored(row.get(2)?),
        is_enabled: row.get(3)?,
        source: if source == AreaSource::HomeAssistant.as_str() {
            AreaSource::HomeAssistant
        } else {
            AreaSource::Local
        },
        created_at: row.get(5)?,
        updated_at: row.get(6)?,
        entity_ids: texts(row, 7)?
            .into_iter()
            .map(|id| EntityId::from_stored(&id))
            .collect(),
    })
}

/// Reads a column that the query built with `json_group_array`.
fn texts(row: &Row<'_>, column: usize) -> rusqlite::Result<Vec<String>> {
    let json: String = row.get(column)?;
    serde_json::from_str(&json).map_err(|error| {
        rusqlite::Error::FromSqlConversionFailure(column, rusqlite::types::Type::Text, error.into())
    })
}

pub fn find(connection: &Connection, id: &AreaId) -> rusqlite::Result<Option<Area>> {
    connection
        .prepare_cached(&format!("SELECT {COLUMNS} FROM areas a WHERE a.id = ?1"))?
        .query_row([id], read)
        .optional()
}

/// At most `limit` areas with a room id above `after`, in order of the room id; with `client`, only its areas.
pub fn page(
    connection: &Connection,
    client: Option<&ClientId>,
    after: i64,
    limit: usize,
) -> rusqlite::Result<Vec<Area>> {
    let limit = row_limit(limit);
    match client {
        None => connection
            .prepare_cached(&format!(
                "SELECT {COLUMNS} FROM areas a WHERE a.room_id > ?1 ORDER BY a.room_id LIMIT ?2"
            ))?
            .query_map(params![after, limit], read)?
            .collect(),
        Some(client) => connection
            .prepare_cached(&format!(
                "SELECT {COLUMNS} FROM client_areas m JOIN areas a ON a.id = m.area_id
                 WHERE m.client_id = ?3 AND a.room_id > ?1 ORDER BY a.room_id LIMIT ?2"
            ))?
            .query_map(params![after, limit, client], read)?
            .collect(),
    }
}

/// Every area that comes from Home Assistant, in order of the room id.
pub fn mirrored(connection: &Connection) -> rusqlite::Result<Vec<Area>> {
    connection
        .prepare_cached(&format!(
            "SELECT {COLUMNS} FROM areas a WHERE a.source = ?1 ORDER BY a.room_id"
        ))?
        .query_map([AreaSource::HomeAssistant.as_str()], read)?
        .collect()
}

/// Every area that is assigned to the client.
pub fn of_client(connection: &Connection, client: &ClientId) -> rusqlite::Result<Vec<Area>> {
    page(connection, Some(client), 0, usize::MAX)
}

/// The clients that have the area: possibly thousands, so `Area` does not carry them.
pub(super) fn clients_of(
    connection: &Connection,
    area: &AreaId,
) -> rusqlite::Result<Vec<ClientId>> {
    connection
        .prepare_cached("SELECT client_id FROM client_areas WHERE area_id = ?1 ORDER BY client_id")?
        .query_map([area], |row| row.get(0))?
        .collect()
}

pub fn is_assigned(
    connection: &Connection,
    area: &AreaId,
    client: &ClientId,
) -> rusqlite::Result<bool> {
    connection
        .prepare_cached("SELECT 1 FROM client_areas WHERE client_id = ?1 AND area_id = ?2")?
        .exists(params![client, area])
}

pub(super) fn insert(connection: &Connection, area: &Area) -> rusqlite::Result<i64> {
    connection
        .prepare_cached(
            "INSERT INTO areas (id, name, is_enabled, source, created_at, updated_at)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        )?
        .execute(params![
            area.id,
            area.name.as_str(),
            area.is_enabled,
            area.source.as_str(),
            area.created_at,
            area.updated_at
        ])?;
    let room_id = connection.last_insert_rowid();
    set_entities(connection, area)?;
    Ok(room_id)
}

pub(super) fn update(connection: &Connection, area: &Area) -> rusqlite::Result<()> {
    connection
        .prepare_cached(
            "UPDATE areas SET name = ?2, is_enabled = ?3, updated_at = ?4 WHERE id = ?1",
        )?
        .execute(params![
            area.id,
            area.name.as_str(),
            area.is_enabled,
            area.updated_at
        ])?;
    Ok(())
}

pub(super) fn set_entities(connection: &Connection, area: &Area) -> rusqlite::Result<()> {
    connection
        .prepare_cached("DELETE FROM area_entities WHERE area_id = ?1")?
        .execute([&area.id])?;
    let mut insert = connection.prepare_cached(
        "INSERT INTO area_entities (area_id, entity_id, position) VALUES (?1, ?2, ?3)",
    )?;
    for (position, entity) in area.entity_ids.iter().enumerate() {
        let position = i64::try_from(position).unwrap_or(i64::MAX);
        insert.execute(params![area.id, entity.as_str(), position])?;
    }
    Ok(())
}

pub(super) fn delete(connection: &Connection, id: &AreaId) -> rusqlite::Result<()> {
    connection
        .prepare_cached("DELETE FROM areas WHERE id = ?1")?
        .execute([id])?;
    Ok(())
}

pub(super) fn assign(
    connection: &Connection,
    area: &AreaId,
    client: &ClientId,
) -> rusqlite::Result<bool> {
    connection
        .prepare_cached("INSERT OR IGNORE INTO client_areas (client_id, area_id) VALUES (?1, ?2)")?
        .execute(params![client, area])
        .map(|changed| changed > 0)
}

pub(super) fn unassign(
    connection: &Connection,
    area: &AreaId,
    client: &ClientId,
) -> rusqlite::Result<bool> {
    connection
        .prepare_cached("DELETE FROM client_areas WHERE client_id = ?1 AND area_id = ?2")?
        .execute(params![client, area])
        .map(|changed| changed > 0)
}
