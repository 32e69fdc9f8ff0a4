//! SQL queries: who may see and control which entities.

use std::collections::BTreeSet;

use rusqlite::{Connection, params};
use wallcast_core::auth::Subject;
use wallcast_core::entity_id::EntityId;
use wallcast_core::ids::{AreaId, ClientId};

fn entity(text: &str) -> Option<EntityId> {
    text.parse().ok()
}

/// The enabled areas that contain any of the `visible` entities, each with those it contains. The
/// ids share the allocations of `visible`.
pub(super) fn areas_containing(
    connection: &Connection,
    visible: &BTreeSet<EntityId>,
) -> rusqlite::Result<Vec<(AreaId, Vec<EntityId>)>> {
    let mut areas: Vec<(AreaId, Vec<EntityId>)> = Vec::new();
    let mut query = connection.prepare_cached(
        "SELECT e.area_id, e.entity_id FROM area_entities e JOIN areas a ON a.id = e.area_id
         WHERE a.is_enabled ORDER BY e.area_id, e.position",
    )?;
    let mut rows = query.query([])?;
    while let Some(row) = rows.next()? {
        let Some(entity) = visible.get(row.get_ref(1)?.as_str()?) else {
            continue;
        };
        let area = row.get_ref(0)?.as_str()?;
        match areas.last_mut() {
            Some((last, entities)) if last.as_str() == area => entities.push(entity.clone()),
            _ => areas.push((row.get(0)?, vec![entity.clone()])),
        }
    }
    Ok(areas)
}

/// Entities that at least one active client may see: those of its enabled areas, and the locks of a
/// mirrored area that is its kiosk.
pub(super) fn visible_entities(connection: &Connection) -> rusqlite::Result<BTreeSet<EntityId>> {
    let mut query = connection.prepare_cached(
        "SELECT e.entity_id FROM area_entities e JOIN areas a ON a.id = e.area_id
         WHERE a.is_enabled AND EXISTS (
             SELECT 1 FROM client_areas m JOIN clients c ON c.id = m.client_id
             WHERE m.area_id = a.id AND c.is_active)
         UNION
         SELECT e.entity_id FROM area_entities e JOIN areas a ON a.id = e.area_id
         WHERE a.is_enabled AND a.source = 'homeassistant' AND substr(e.entity_id, 1, 5) = 'lock.'
             AND EXISTS (SELECT 1 FROM clients c WHERE c.kiosk_id = a.id AND c.is_active)",
    )?;
    let mut visible = BTreeSet::new();
    let mut rows = query.query([])?;
    while let Some(row) = rows.next()? {
        visible.extend(entity(row.get_ref(0)?.as_str()?));
    }
    Ok(visible)
}

/// The enabled areas of a client, or all enabled areas if `client` is `None`.
pub(crate) fn enabled_areas(
    connection: &Connection,
    client: Option<&ClientId>,
) -> rusqlite::Result<BTreeSet<AreaId>> {
    let mut query = connection.prepare_cached(
        "SELECT a.id FROM areas a WHERE a.is_enabled AND (?1 IS NULL OR EXISTS (
             SELECT 1 FROM client_areas m WHERE m.area_id = a.id AND m.client_id = ?1))",
    )?;
    query
        .query_map(params![client], |row| row.get(0))?
        .collect()
}

/// Whether an enabled area contains the entity: one of the client's, or any if `client` is `None`.
///
/// # Errors
/// Fails when the query fails.
pub fn is_in_enabled_area(
    connection: &Connection,
    entity: &EntityId,
    client: Option<&ClientId>,
) -> rusqlite::Result<bool> {
    connection
        .prepare_cached(
            "SELECT EXISTS (SELECT 1 FROM area_entities e JOIN areas a ON a.id = e.area_id
             WHERE e.entity_id = ?1 AND a.is_enabled AND (?2 IS NULL OR EXISTS (
                 SELECT 1 FROM client_areas m WHERE m.area_id = a.id AND m.client_id = ?2)))",
        )?
        .query_row(params![entity.as_str(), client], |row| row.get(0))
}

/// Whether `subject` may call services on the entity: an admin if any enabled area contains it, a
/// client if one of its own enabled areas does. The option `allowed_services` is checked elsewhere.
///
/// # Errors
/// Fails when the query fails.
pub(crate) fn may_control(
    connection: &Connection,
    subject: &Subject,
    entity: &EntityId,
) -> rusqlite::Result<bool> {
    match subject {
        Subject::Admin(_) => is_in_enabled_area(connection, entity, None),
        Subject::Client(id) => is_in_enabled_area(connection, entity, Some(id)),
        Subject::User(_) | Subject::Pairing(_) => Ok(false),
    }
}
