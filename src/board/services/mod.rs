//! Creating, changing and deleting services of the status board.

mod built_in;
mod rows;

use rusqlite::Connection;
use wallcast_core::audit::{self, Actor};
use wallcast_core::ids::ServiceId;
use wallcast_core::store::WriteTx;

use super::board_status::BoardStatuses;
use super::error::BoardError;
use super::events::{self, ChangeType};
pub use super::service::{NewService, Service, ServiceJson, ServicePatch};

pub(super) use built_in::{
    create as create_built_in, delete as delete_built_in, set_status as set_built_in_status,
};
pub(super) use rows::{audiences, set_updated, worst_status, worst_status_for};
pub use rows::{find, page};

/// How many services there can be, built-in ones included.
pub const MAX_SERVICES: usize = 500;

/// Creates a service and publishes it to its audience.
///
/// # Errors
/// [`BoardError::TooMany`], or a store error.
pub fn create(tx: &mut WriteTx<'_>, new: NewService, actor: &Actor) -> Result<Service, BoardError> {
    let db = tx.connection();
    if rows::count(db)? >= MAX_SERVICES {
        return Err(BoardError::TooMany {
            what: "services",
            max: MAX_SERVICES,
            advice: "delete one first",
        });
    }
    let mut service = Service {
        place: 0,
        id: ServiceId::random(),
        name: new.name,
        description: new.description,
        status: new.status,
        audience: new.audience,
        is_built_in: false,
        created_at: tx.now(),
        updated_at: tx.now(),
    };
    let statuses = BoardStatuses::read(db, &[&service.audience])?;
    service.place = rows::insert(db, &service)?;
    record(tx, actor, "service.create", &service)?;
    tx.publish(events::service_update(
        ChangeType::Created,
        &service,
        tx.now(),
    ))?;
    statuses.publish_changes(tx)?;
    Ok(service)
}

/// Changes a service. Publishes it to its audience, and its removal to an audience that no longer
/// sees it. Publishes nothing when nothing changes.
///
/// # Errors
/// [`BoardError::UnknownService`], [`BoardError::BuiltIn`], or a store error.
pub fn change(
    tx: &mut WriteTx<'_>,
    id: &ServiceId,
    patch: ServicePatch,
    actor: &Actor,
) -> Result<Service, BoardError> {
    let before = find_editable(tx.connection(), id)?;
    let mut service = Service {
        name: patch.name.unwrap_or_else(|| before.name.clone()),
        description: patch
            .description
            .unwrap_or_else(|| before.description.clone()),
        status: patch.status.unwrap_or(before.status),
        audience: patch.audience.apply(&before.audience),
        ..before.clone()
    };
    record(tx, actor, "service.change", &service)?;
    if service == before {
        return Ok(service);
    }
    service.updated_at = tx.now();
    let statuses = BoardStatuses::read(tx.connection(), &[&before.audience, &service.audience])?;
    rows::update(tx.connection(), &service)?;
    if !service.audience.includes(&before.audience) {
        tx.publish(events::service_hidden(&before, tx.now()))?;
    }
    tx.publish(events::service_update(
        ChangeType::Updated,
        &service,
        tx.now(),
    ))?;
    statuses.publish_changes(tx)?;
    Ok(service)
}

/// Deletes a service and publishes that to its audience. Incidents keep its id.
///
/// # Errors
/// [`BoardError::UnknownService`], [`BoardError::BuiltIn`], or a store error.
pub fn delete(tx: &mut WriteTx<'_>, id: &ServiceId, actor: &Actor) -> Result<(), BoardError> {
    let service = find_editable(tx.connection(), id)?;
    let statuses = BoardStatuses::read(tx.connection(), &[&service.audience])?;
    rows::delete(tx.connection(), id)?;
    record(tx, actor, "service.delete", &service)?;
    tx.publish(events::service_update(
        ChangeType::Deleted,
        &service,
        tx.now(),
    ))?;
    statuses.publish_changes(tx)?;
    Ok(())
}

fn find_editable(db: &Connection, id: &ServiceId) -> Result<Service, BoardError> {
    match rows::find(db, id)? {
        None => Err(BoardError::UnknownService),
        Some(service) if service.is_built_in => Err(BoardError::BuiltIn),
        Some(service) => Ok(service),
    }
}

fn record(
    tx: &WriteTx<'_>,
    actor: &Actor,
    action: &str,
    service: &Service,
) -> rusqlite::Result<()> {
    let detail = format!("{}: {}", service.name.as_str(), service.status.as_str());
    audit::record(tx, actor, action, Some(service.id.as_str()), &detail)
}
