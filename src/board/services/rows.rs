//! The SQL of services.

use rusqlite::{Connection, OptionalExtension as _, Row, params};
use wallcast_core::clock::Timestamp;
use wallcast_core::ids::ServiceId;
use wallcast_core::store::row_limit;

use crate::access::{Audience, BoardView};
use crate::board::service::Service;
use crate::board::status::ServiceStatus;

const COLUMNS: &str = "place, id, name, description, status, organization_id, tenant_id, is_own, \
    created_at, updated_at";

fn read(row: &Row<'_>) -> rusqlite::Result<Service> {
    Ok(Service {
        place: row.get(0)?,
        id: row.get(1)?,
        name: row.get(2)?,
        description: row.get(3)?,
        status: row.get(4)?,
        audience: Audience {
            organization_id: row.get(5)?,
            tenant_id: row.get(6)?,
        },
        is_built_in: row.get(7)?,
        created_at: row.get(8)?,
        updated_at: row.get(9)?,
    })
}

pub fn find(connection: &Connection, id: &ServiceId) -> rusqlite::Result<Option<Service>> {
    connection
        .prepare_cached(&format!("SELECT {COLUMNS} FROM services WHERE id = ?1"))?
        .query_row([id], read)
        .optional()
}

/// At most `limit` services that `view` shows, in list order, after the place `after`.
pub fn page(
    connection: &Connection,
    view: &BoardView,
    after: i64,
    limit: usize,
) -> rusqlite::Result<Vec<Service>> {
    let most = row_limit(limit);
    let Some(layers) = view.layers() else {
        return connection
            .prepare_cached(&format!(
                "SELECT {COLUMNS} FROM services WHERE place > ?1 ORDER BY place LIMIT ?2"
            ))?
            .query_map(params![after, most], read)?
            .collect();
    };
    let mut query = connection.prepare_cached(&format!(
        "SELECT {COLUMNS} FROM services
         WHERE organization_id IS ?3 AND tenant_id IS ?4 AND place > ?1 ORDER BY place LIMIT ?2"
    ))?;
    let mut services: Vec<Service> = Vec::new();
    for layer in layers {
        let rows = query.query_map(
            params![after, most, layer.organization_id, layer.tenant_id],
            read,
        )?;
        for row in rows {
            services.push(row?);
        }
    }
    services.sort_by_key(|service| service.place);
    services.truncate(limit);
    Ok(services)
}

/// The worst status of the services for exactly this audience. `operational` if there are none.
pub(in crate::board) fn worst_status_for(
    connection: &Connection,
    audience: &Audience,
) -> rusqlite::Result<ServiceStatus> {
    let worst: Option<ServiceStatus> = connection
        .prepare_cached(
            "SELECT max(status) FROM services WHERE organization_id IS ?1 AND tenant_id IS ?2",
        )?
        .query_row(
            params![audience.organization_id, audience.tenant_id],
            |row| row.get(0),
        )?;
    Ok(worst.unwrap_or_default())
}

/// The worst status of all services.
pub(in crate::board) fn worst_status(connection: &Connection) -> rusqlite::Result<ServiceStatus> {
    let worst: Option<ServiceStatus> = connection
        .prepare_cached("SELECT max(status) FROM services")?
        .query_row([], |row| row.get(0))?;
    Ok(worst.unwrap_or_default())
}

/// Every audience that has services.
pub(in crate::board) fn audiences(connection: &Connection) -> rusqlite::Result<Vec<Audience>> {
    connection
        .prepare_cached("SELECT organization_id, tenant_id FROM services GROUP BY 1, 2")?
        .query_map([], |row| {
            Ok(Audience {
                organization_id: row.get(0)?,
                tenant_id: row.get(1)?,
            })
        })?
        .collect()
}

pub(super) fn count(connection: &Connection) -> rusqlite::Result<usize> {
    let count: i64 = connection
        .prepare_cached("SELECT count(*) FROM services")?
        .query_row([], |row| row.get(0))?;
    Ok(usize::try_from(count).unwrap_or_default())
}

pub(super) fn insert(connection: &Connection, service: &Service) -> rusqlite::Result<i64> {
    connection
        .prepare_cached(
            "INSERT INTO services (id, name, description, status, organization_id, tenant_id,
                                   is_own, created_at, updated_at)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
        )?
        .execute(params![
            service.id,
            service.name,
            service.description,
            service.status,
            service.audience.organization_id,
            service.audience.tenant_id,
            service.is_built_in,
            service.created_at,
            service.updated_at,
        ])?;
    Ok(connection.last_insert_rowid())
}

pub(super) fn update(connection: &Connection, service: &Service) -> rusqlite::Result<()> {
    connection
        .prepare_cached(
            "UPDATE services SET name = ?2, description = ?3, status = ?4, organization_id = ?5,
                                 tenant_id = ?6, updated_at = ?7
             WHERE id = ?1",
        )?
        .execute(params![
            service.id,
            service.name,
            service.description,
            service.status,
            service.audience.organization_id,
            service.audience.tenant_id,
            service.updated_at,
        ])?;
    Ok(())
}

/// Sets `updated_at` alone.
pub(in crate::board) fn set_updated(
    connection: &Connection,
    id: &ServiceId,
    at: Timestamp,
) -> rusqlite::Result<()> {
    connection
        .prepare_cached("UPDATE services SET updated_at = ?2 WHERE id = ?1")?
        .execute(params![id, at])?;
    Ok(())
}

pub(super) fn delete(connection: &Connection, id: &ServiceId) -> rusqlite::Result<()> {
    connection
        .prepare_cached("DELETE FROM services WHERE id = ?1")?
        .execute([id])?;
    Ok(())
}
