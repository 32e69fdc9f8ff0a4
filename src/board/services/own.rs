//! Services that Wallcast keeps itself, as rows: for everyone, and of no admin's making.

use super::{Change, Service, rows};
use crate::board::{Audience, ServiceStatus};
use wallcast_core::ids::ServiceId;
use wallcast_core::store::WriteTx;

/// Makes one known, by name and description.
///
/// # Errors
/// SQLite's.
pub(in crate::board) fn add(
    tx: &mut WriteTx<'_>,
    id: ServiceId,
    (name, description): (&str, &str),
    status: ServiceStatus,
) -> rusqlite::Result<()> {
    let (Ok(name), Ok(description)) = (name.parse(), description.parse()) else {
        tracing::error!(service = %id, "a service of our own has no name");
        return Ok(());
    };
    let service = Service {
        place: 0,
        id,
        name,
        description,
        status,
        audience: Audience::default(),
        is_own: true,
        created_at: tx.now(),
        updated_at: tx.now(),
    };
    rows::insert(tx.connection(), &service)?;
    tx.publish(Change::Created.of_service(&service, tx.now()))?;
    Ok(())
}

/// Says how it is now.
///
/// # Errors
/// SQLite's.
pub(in crate::board) fn set(
    tx: &mut WriteTx<'_>,
    before: Service,
    status: ServiceStatus,
) -> rusqlite::Result<()> {
    let service = Service {
        status,
        updated_at: tx.now(),
        ..before
    };
    rows::update(tx.connection(), &service)?;
    tx.publish(Change::Updated.of_service(&service, tx.now()))?;
    Ok(())
}

/// Forgets it.
///
/// # Errors
/// SQLite's.
pub(in crate::board) fn remove(tx: &mut WriteTx<'_>, service: &Service) -> rusqlite::Result<()> {
    rows::delete(tx.connection(), &service.id)?;
    tx.publish(Change::Deleted.of_service(service, tx.now()))?;
    Ok(())
}
