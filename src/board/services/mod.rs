//! Services of the status board: what an admin says of each.

mod own;
mod rows;

use rusqlite::Connection;
use serde::Serialize;

use super::events::{self, Change};
use super::overall::Standing;
pub(crate) use super::{
    Audience, AudiencePatch, BoardError, Description, ServiceName, ServiceStatus,
};
use wallcast_core::audit::{self, Actor};
use wallcast_core::clock::Timestamp;
use wallcast_core::ids::ServiceId;
use wallcast_core::store::WriteTx;

pub(super) use own::{add as add_own, remove as drop_own, set as set_own};
pub(super) use rows::set_updated;
pub use rows::{find, page};

/// Services that there may be, Wallcast's own included.
pub const MAX_SERVICES: usize = 500;

/// A service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Service {
    /// Its place in lists.
    pub place: i64,
    /// Its id.
    pub id: ServiceId,
    /// Its name.
    pub name: ServiceName,
    /// What it is.
    pub description: Description,
    /// How it is.
    pub status: ServiceStatus,
    /// For whom it is.
    pub audience: Audience,
    /// Whether Wallcast keeps it itself.
    pub is_own: bool,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
}

/// A service on the wire (contract 6.5).
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ServiceJson {
    id: ServiceId,
    name: ServiceName,
    description: Description,
    status: ServiceStatus,
    #[serde(flatten)]
    audience: Audience,
    created_at: Timestamp,
    updated_at: Timestamp,
}

impl From<Service> for ServiceJson {
    fn from(service: Service) -> Self {
        Self {
            id: service.id,
            name: service.name,
            description: service.description,
            status: service.status,
            audience: service.audience,
            created_at: service.created_at,
            updated_at: service.updated_at,
        }
    }
}

/// What a new service is.
#[derive(Clone, Debug)]
pub struct NewService {
    /// Its name.
    pub name: ServiceName,
    /// What it is.
    pub description: Description,
    /// How it is.
    pub status: ServiceStatus,
    /// For whom it is.
    pub audience: Audience,
}

/// What is to change of a service; what is left out stays.
#[derive(Clone, Debug, Default)]
pub struct ServicePatch {
    /// Another name.
    pub name: Option<ServiceName>,
    /// Another description.
    pub description: Option<Description>,
    /// Another status.
    pub status: Option<ServiceStatus>,
    /// For others.
    pub audience: AudiencePatch,
}

/// Makes a service and tells those for whom it is.
///
/// # Errors
/// [`BoardError::TooMany`], or the store's.
pub fn create(tx: &mut WriteTx<'_>, new: NewService, actor: &Actor) -> Result<Service, BoardError> {
    let db = tx.connection();
    if rows::count(db)? >= MAX_SERVICES {
        return Err(BoardError::TooMany {
            what: "services",
            most: MAX_SERVICES,
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
        is_own: false,
        created_at: tx.now(),
        updated_at: tx.now(),
    };
    let before = Standing::of(db, &[&service.audience])?;
    service.place = rows::insert(db, &service)?;
    record(tx, actor, "service.create", &service)?;
    tx.publish(Change::Created.of_service(&service, tx.now()))?;
    before.tell_changes(tx)?;
    Ok(service)
}

/// Changes a service and tells those for whom it is and was; a change that changes nothing tells
/// nothing.
///
/// # Errors
/// [`BoardError::UnknownService`], [`BoardError::Own`], or the store's.
pub fn change(
    tx: &mut WriteTx<'_>,
    id: &ServiceId,
    patch: ServicePatch,
    actor: &Actor,
) -> Result<Service, BoardError> {
    let before = foreign(tx.connection(), id)?;
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
    let standing = Standing::of(tx.connection(), &[&before.audience, &service.audience])?;
    rows::update(tx.connection(), &service)?;
    if !service.audience.includes(&before.audience) {
        tx.publish(events::service_left(&before, tx.now()))?;
    }
    tx.publish(Change::Updated.of_service(&service, tx.now()))?;
    standing.tell_changes(tx)?;
    Ok(service)
}

/// Deletes a service and tells those for whom it was. Incidents go on naming it.
///
/// # Errors
/// [`BoardError::UnknownService`], [`BoardError::Own`], or the store's.
pub fn delete(tx: &mut WriteTx<'_>, id: &ServiceId, actor: &Actor) -> Result<(), BoardError> {
    let service = foreign(tx.connection(), id)?;
    let standing = Standing::of(tx.connection(), &[&service.audience])?;
    rows::delete(tx.connection(), id)?;
    record(tx, actor, "service.delete", &service)?;
    tx.publish(Change::Deleted.of_service(&service, tx.now()))?;
    standing.tell_changes(tx)?;
    Ok(())
}

/// A service that is not Wallcast's own.
fn foreign(db: &Connection, id: &ServiceId) -> Result<Service, BoardError> {
    match rows::find(db, id)? {
        None => Err(BoardError::UnknownService),
        Some(service) if service.is_own => Err(BoardError::Own),
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
