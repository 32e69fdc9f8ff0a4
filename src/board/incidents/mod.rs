//! Creating, changing and deleting incidents of the status board, and adding updates to them.

mod rows;

use rusqlite::Connection;
use wallcast_core::audit::{self, Actor};
use wallcast_core::ids::{IncidentId, ServiceId};
use wallcast_core::store::WriteTx;

use super::error::BoardError;
use super::events::{self, ChangeType};
use super::incident::{MAX_OPEN, MAX_UPDATE_BYTES, MAX_UPDATES};
use super::services;
use super::status::IncidentStatus;
use super::text::UpdateMessage;

pub use super::incident::{
    Incident, IncidentJson, IncidentPatch, IncidentUpdate, MAX_SERVICES, NewIncident,
};
pub use rows::{delete_resolved, find, open, page};

/// Creates an incident and publishes it to its audience.
///
/// # Errors
/// [`BoardError::TooMany`], [`BoardError::NotOnBoard`], or a store error.
pub fn create(
    tx: &mut WriteTx<'_>,
    new: NewIncident,
    actor: &Actor,
) -> Result<Incident, BoardError> {
    let db = tx.connection();
    let resolved = new.status == IncidentStatus::Resolved;
    let mut incident = Incident {
        place: 0,
        id: IncidentId::random(),
        title: new.title,
        description: new.description,
        status: new.status,
        severity: new.severity,
        service_ids: new.service_ids,
        audience: new.audience,
        updates: Vec::new(),
        created_at: tx.now(),
        updated_at: tx.now(),
        resolved_at: resolved.then_some(tx.now()),
    };
    check_services(db, &incident, &[])?;
    check_open(db, &incident)?;
    incident.place = rows::insert(db, &incident)?;
    record(tx, actor, "incident.create", &incident)?;
    tx.publish(events::incident_update(
        ChangeType::Created,
        &incident,
        tx.now(),
    ))?;
    Ok(incident)
}

/// Changes an incident. Publishes it to its audience, and its removal to an audience that no longer
/// sees it. Publishes nothing when nothing changes.
///
/// # Errors
/// [`BoardError::UnknownIncident`], the errors of [`create`], or a store error.
pub fn change(
    tx: &mut WriteTx<'_>,
    id: &IncidentId,
    patch: IncidentPatch,
    actor: &Actor,
) -> Result<Incident, BoardError> {
    let before = expect(tx.connection(), id)?;
    let after = Incident {
        title: patch.title.unwrap_or_else(|| before.title.clone()),
        description: patch
            .description
            .unwrap_or_else(|| before.description.clone()),
        severity: patch.severity.unwrap_or_else(|| before.severity.clone()),
        service_ids: patch
            .service_ids
            .unwrap_or_else(|| before.service_ids.clone()),
        audience: patch.audience.apply(&before.audience),
        ..before.clone()
    };
    let after = after.with_status(patch.status.unwrap_or(before.status), tx.now());
    record(tx, actor, "incident.change", &after)?;
    if after == before {
        return Ok(after);
    }
    save(tx, &before, after)
}

/// Adds an update to an incident, optionally with a new status, and publishes the incident.
///
/// # Errors
/// [`BoardError::UnknownIncident`], [`BoardError::TooMany`], or a store error.
pub fn add_update(
    tx: &mut WriteTx<'_>,
    id: &IncidentId,
    message: UpdateMessage,
    status: Option<IncidentStatus>,
    actor: &Actor,
) -> Result<Incident, BoardError> {
    let before = expect(tx.connection(), id)?;
    if before.updates.len() >= MAX_UPDATES {
        return Err(BoardError::TooMany {
            what: "updates of one incident",
            max: MAX_UPDATES,
            advice: "open another",
        });
    }
    let messages = before.updates.iter().map(|update| &update.message);
    let bytes: usize = messages
        .chain([&message])
        .map(|text| text.as_str().len())
        .sum();
    if bytes > MAX_UPDATE_BYTES {
        return Err(BoardError::TooMany {
            what: "bytes in the updates of one incident",
            max: MAX_UPDATE_BYTES,
            advice: "open another",
        });
    }
    let status = status.unwrap_or(before.status);
    let mut after = before.clone().with_status(status, tx.now());
    let update = IncidentUpdate {
        status,
        message,
        created_at: tx.now(),
    };
    rows::add_update(tx.connection(), id, after.updates.len(), &update)?;
    after.updates.push(update);
    record(tx, actor, "incident.update", &after)?;
    save(tx, &before, after)
}

/// Deletes an incident with its updates and publishes that to its audience.
///
/// # Errors
/// [`BoardError::UnknownIncident`], or a store error.
pub fn delete(tx: &mut WriteTx<'_>, id: &IncidentId, actor: &Actor) -> Result<(), BoardError> {
    let incident = expect(tx.connection(), id)?;
    rows::delete(tx.connection(), id)?;
    record(tx, actor, "incident.delete", &incident)?;
    tx.publish(events::incident_update(
        ChangeType::Deleted,
        &incident,
        tx.now(),
    ))?;
    Ok(())
}

/// Stores a changed incident and publishes it.
fn save(
    tx: &mut WriteTx<'_>,
    before: &Incident,
    mut after: Incident,
) -> Result<Incident, BoardError> {
    let db = tx.connection();
    if after.service_ids != before.service_ids || after.audience != before.audience {
        check_services(db, &after, &before.service_ids)?;
    }
    if !before.is_open() {
        check_open(db, &after)?;
    }
    after.updated_at = tx.now();
    rows::update(db, &after)?;
    if !after.audience.includes(&before.audience) {
        tx.publish(events::incident_hidden(before, tx.now()))?;
    }
    tx.publish(events::incident_update(
        ChangeType::Updated,
        &after,
        tx.now(),
    ))?;
    Ok(after)
}

/// Everyone who sees an incident must also see its services. A service that the incident named
/// before may have been deleted since.
fn check_services(
    db: &Connection,
    incident: &Incident,
    named_before: &[ServiceId],
) -> Result<(), BoardError> {
    for id in &incident.service_ids {
        let fits = match services::find(db, id)? {
            Some(service) => service.audience.includes(&incident.audience),
            None => named_before.contains(id),
        };
        if !fits {
            return Err(BoardError::NotOnBoard(id.clone()));
        }
    }
    Ok(())
}

/// Refuses an open incident when [`MAX_OPEN`] are open already.
fn check_open(db: &Connection, incident: &Incident) -> Result<(), BoardError> {
    if incident.is_open() && rows::count_open(db)? >= MAX_OPEN {
        return Err(BoardError::TooMany {
            what: "open incidents",
            max: MAX_OPEN,
            advice: "resolve one first",
        });
    }
    Ok(())
}

fn expect(db: &Connection, id: &IncidentId) -> Result<Incident, BoardError> {
    rows::find(db, id)?.ok_or(BoardError::UnknownIncident)
}

fn record(
    tx: &WriteTx<'_>,
    actor: &Actor,
    action: &str,
    incident: &Incident,
) -> rusqlite::Result<()> {
    let detail = format!("{}: {}", incident.title.as_str(), incident.status.as_str());
    audit::record(tx, actor, action, Some(incident.id.as_str()), &detail)
}
