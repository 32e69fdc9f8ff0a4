//! Writing the rows of built-in services. They are for everyone, and no admin created them.

use wallcast_core::ids::ServiceId;
use wallcast_core::store::WriteTx;

use super::rows;
use crate::access::Audience;
use crate::board::events::{self, ChangeType};
use crate::board::service::Service;
use crate::board::status::ServiceStatus;

pub(in crate::board) fn create(
    tx: &mut WriteTx<'_>,
    id: ServiceId,
    (name, description): (&str, &str),
    status: ServiceStatus,
) -> rusqlite::Result<()> {
    let (Ok(name), Ok(description)) = (name.parse(), description.parse()) else {
        tracing::error!(service = %id, "built-in service not created: its name or description is invalid");
        return Ok(());
    };
    let service = Service {
        place: 0,
        id,
        name,
        description,
        status,
        audience: Audience::default(),
        is_built_in: true,
        created_at: tx.now(),
        updated_at: tx.now(),
    };
    rows::insert(tx.connection(), &service)?;
    tx.publish(events::service_update(
        ChangeType::Created,
        &service,
        tx.now(),
    ))?;
    Ok(())
}

pub(in crate::board) fn set_status(
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
    tx.publish(events::service_update(
        ChangeType::Updated,
        &service,
        tx.now(),
    ))?;
    Ok(())
}

pub(in crate::board) fn delete(tx: &mut WriteTx<'_>, service: &Service) -> rusqlite::Result<()> {
    rows::delete(tx.connection(), &service.id)?;
    tx.publish(events::service_update(
        ChangeType::Deleted,
        service,
        tx.now(),
    ))?;
    Ok(())
}
