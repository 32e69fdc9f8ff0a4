//! The SQL of incidents and their updates.

use rusqlite::{Connection, OptionalExtension as _, Params, Row, Statement, params};
use wallcast_core::clock::Timestamp;
use wallcast_core::ids::{IncidentId, ServiceId};
use wallcast_core::store::{WriteTx, row_limit};

use crate::access::{Audience, BoardView};
use crate::board::incident::{Incident, IncidentUpdate, MAX_OPEN};

const COLUMNS: &str = "place, id, title, description, status, severity, service_ids, \
    organization_id, tenant_id, created_at, updated_at, resolved_at";

/// Reads an incident's row, without its updates.
fn read(row: &Row<'_>) -> rusqlite::Result<Incident> {
    let service_ids: String = row.get(6)?;
    let service_ids: Vec<String> = serde_json::from_str(&service_ids).map_err(|error| {
        rusqlite::Error::FromSqlConversionFailure(6, rusqlite::types::Type::Text, error.into())
    })?;
    Ok(Incident {
        place: row.get(0)?,
        id: row.get(1)?,
        title: row.get(2)?,
        description: row.get(3)?,
        status: row.get(4)?,
        severity: row.get(5)?,
        service_ids: service_ids
            .iter()
            .filter_map(|id| id.parse().ok())
            .collect(),
        audience: Audience {
            organization_id: row.get(7)?,
            tenant_id: row.get(8)?,
        },
        updates: Vec::new(),
        created_at: row.get(9)?,
        updated_at: row.get(10)?,
        resolved_at: row.get(11)?,
    })
}

fn updates_of(connection: &Connection, id: &IncidentId) -> rusqlite::Result<Vec<IncidentUpdate>> {
    connection
        .prepare_cached(
            "SELECT status, message, created_at FROM incident_updates
             WHERE incident_id = ?1 ORDER BY number",
        )?
        .query_map([id], |row| {
            Ok(IncidentUpdate {
                status: row.get(0)?,
                message: row.get(1)?,
                created_at: row.get(2)?,
            })
        })?
        .collect()
}

pub fn find(connection: &Connection, id: &IncidentId) -> rusqlite::Result<Option<Incident>> {
    let found = connection
        .prepare_cached(&format!("SELECT {COLUMNS} FROM incidents WHERE id = ?1"))?
        .query_row([id], read)
        .optional()?;
    found
        .map(|incident| with_updates(connection, incident))
        .transpose()
}

/// At most `limit` incidents that `view` shows, in list order, after the place `after`.
pub fn page(
    connection: &Connection,
    view: &BoardView,
    after: i64,
    limit: usize,
) -> rusqlite::Result<Vec<Incident>> {
    select(connection, view, "incidents WHERE place > ?1", after, limit)
}

/// Every open incident that `view` shows, in list order.
pub fn open(connection: &Connection, view: &BoardView) -> rusqlite::Result<Vec<Incident>> {
    // Few incidents are open, but an audience can have many resolved ones, so the index on
    // `resolved_at` is the better one.
    let open = "incidents INDEXED BY incidents_by_end WHERE resolved_at IS NULL AND place > ?1";
    select(connection, view, open, 0, MAX_OPEN)
}

fn select(
    connection: &Connection,
    view: &BoardView,
    which: &str,
    after: i64,
    limit: usize,
) -> rusqlite::Result<Vec<Incident>> {
    let most = row_limit(limit);
    let mut incidents = Vec::new();
    match view.layers() {
        None => {
            let mut query = connection.prepare_cached(&format!(
                "SELECT {COLUMNS} FROM {which} ORDER BY place LIMIT ?2"
            ))?;
            take(&mut query, params![after, most], &mut incidents)?;
        }
        Some(layers) => {
            let mut query = connection.prepare_cached(&format!(
                "SELECT {COLUMNS} FROM {which} AND organization_id IS ?3 AND tenant_id IS ?4
                 ORDER BY place LIMIT ?2"
            ))?;
            for layer in layers {
                let parameters = params![after, most, layer.organization_id, layer.tenant_id];
                take(&mut query, parameters, &mut incidents)?;
            }
        }
    }
    incidents.sort_by_key(|incident| incident.place);
    incidents.truncate(limit);
    incidents
        .into_iter()
        .map(|incident| with_updates(connection, incident))
        .collect()
}

fn take(
    query: &mut Statement<'_>,
    parameters: impl Params,
    into: &mut Vec<Incident>,
) -> rusqlite::Result<()> {
    for row in query.query_map(parameters, read)? {
        into.push(row?);
    }
    Ok(())
}

fn with_updates(connection: &Connection, incident: Incident) -> rusqlite::Result<Incident> {
    let updates = updates_of(connection, &incident.id)?;
    Ok(Incident {
        updates,
        ..incident
    })
}

pub(super) fn count_open(connection: &Connection) -> rusqlite::Result<usize> {
    let count: i64 = connection
        .prepare_cached("SELECT count(*) FROM incidents WHERE resolved_at IS NULL")?
        .query_row([], |row| row.get(0))?;
    Ok(usize::try_from(count).unwrap_or_default())
}

pub(super) fn insert(connection: &Connection, incident: &Incident) -> rusqlite::Result<i64> {
    connection
        .prepare_cached(
            "INSERT INTO incidents (id, title, description, status, severity, service_ids,
                                    organization_id, tenant_id, created_at, updated_at, resolved_at)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
        )?
        .execute(params![
            incident.id,
            incident.title,
            incident.description,
            incident.status,
            incident.severity,
            list(&incident.service_ids),
            incident.audience.organization_id,
            incident.audience.tenant_id,
            incident.created_at,
            incident.updated_at,
            incident.resolved_at,
        ])?;
    Ok(connection.last_insert_rowid())
}

pub(super) fn update(connection: &Connection, incident: &Incident) -> rusqlite::Result<()> {
    connection
        .prepare_cached(
            "UPDATE incidents SET title = ?2, description = ?3, status = ?4, severity = ?5,
                                  service_ids = ?6, organization_id = ?7, tenant_id = ?8,
                                  updated_at = ?9, resolved_at = ?10
             WHERE id = ?1",
        )?
        .execute(params![
            incident.id,
            incident.title,
            incident.description,
            incident.status,
            incident.severity,
            list(&incident.service_ids),
            incident.audience.organization_id,
            incident.audience.tenant_id,
            incident.updated_at,
            incident.resolved_at,
        ])?;
    Ok(())
}

fn list(ids: &[ServiceId]) -> String {
    wallcast_core::event::to_json(&ids)
}

pub(super) fn add_update(
    connection: &Connection,
    id: &IncidentId,
    number: usize,
    update: &IncidentUpdate,
) -> rusqlite::Result<()> {
    connection
        .prepare_cached(
            "INSERT INTO incident_updates (incident_id, number, status, message, created_at)
             VALUES (?1, ?2, ?3, ?4, ?5)",
        )?
        .execute(params![
            id,
            i64::try_from(number).unwrap_or(i64::MAX),
            update.status,
            update.message,
            update.created_at,
        ])?;
    Ok(())
}

pub(super) fn delete(connection: &Connection, id: &IncidentId) -> rusqlite::Result<()> {
    connection
        .prepare_cached("DELETE FROM incidents WHERE id = ?1")?
        .execute([id])?;
    Ok(())
}

/// Deletes at most `at_most` incidents that were resolved before `before`. Returns how many.
pub fn delete_resolved(
    tx: &mut WriteTx<'_>,
    before: Timestamp,
    at_most: usize,
) -> rusqlite::Result<usize> {
    tx.connection()
        .prepare_cached(
            "DELETE FROM incidents WHERE id IN
               (SELECT id FROM incidents WHERE resolved_at < ?1 LIMIT ?2)",
        )?
        .execute(params![before, row_limit(at_most)])
}
