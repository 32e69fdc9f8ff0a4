//! Incidents of the status board, and what is said of each while it lasts.

mod rows;

use rusqlite::Connection;
use serde::Serialize;

use super::events::{self, Change};
use super::services;
use super::{
    Audience, AudiencePatch, BoardError, Description, IncidentStatus, Message, Severity, Title,
};
use wallcast_core::audit::{self, Actor};
use wallcast_core::clock::Timestamp;
use wallcast_core::ids::{IncidentId, ServiceId};
use wallcast_core::store::WriteTx;

pub use rows::{find, forget, open, page};

/// Incidents that may be open at once.
pub const MAX_OPEN: usize = 100;
/// Updates that one incident may have.
pub const MAX_UPDATES: usize = 100;
/// Bytes of all its updates' messages: each event about the incident holds every one.
pub const MAX_UPDATE_BYTES: usize = 128 * 1024;
/// Services that one incident may name.
pub const MAX_SERVICES: usize = 100;

/// An incident.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Incident {
    /// Its place in lists.
    pub place: i64,
    /// Its id.
    pub id: IncidentId,
    /// What happened, in a line.
    pub title: Title,
    /// What happened.
    pub description: Description,
    /// How far it is mended.
    pub status: IncidentStatus,
    /// How bad it is.
    pub severity: Severity,
    /// Which services it is about, without repeats; some may be gone.
    pub service_ids: Vec<ServiceId>,
    /// For whom it is.
    pub audience: Audience,
    /// What was said of it, the oldest first.
    pub updates: Vec<Update>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
    /// When it was resolved; none while it is open.
    pub resolved_at: Option<Timestamp>,
}

/// Something that was said of an incident.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Update {
    /// The incident's status from then on.
    pub status: IncidentStatus,
    /// What was said.
    pub message: Message,
    /// When.
    pub created_at: Timestamp,
}

/// An incident on the wire (contract 6.5).
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct IncidentJson {
    id: IncidentId,
    title: Title,
    description: Description,
    status: IncidentStatus,
    severity: Severity,
    service_ids: Vec<ServiceId>,
    #[serde(flatten)]
    audience: Audience,
    updates: Vec<Update>,
    created_at: Timestamp,
    updated_at: Timestamp,
}

impl From<Incident> for IncidentJson {
    fn from(incident: Incident) -> Self {
        Self {
            id: incident.id,
            title: incident.title,
            description: incident.description,
            status: incident.status,
            severity: incident.severity,
            service_ids: incident.service_ids,
            audience: incident.audience,
            updates: incident.updates,
            created_at: incident.created_at,
            updated_at: incident.updated_at,
        }
    }
}

/// What a new incident is.
#[derive(Clone, Debug)]
pub struct NewIncident {
    /// What happened, in a line.
    pub title: Title,
    /// What happened.
    pub description: Description,
    /// How far it is mended.
    pub status: IncidentStatus,
    /// How bad it is.
    pub severity: Severity,
    /// Which services it is about, without repeats, at most [`MAX_SERVICES`].
    pub service_ids: Vec<ServiceId>,
    /// For whom it is.
    pub audience: Audience,
}

/// What is to change of an incident; what is left out stays.
#[derive(Clone, Debug, Default)]
pub struct IncidentPatch {
    /// Another title.
    pub title: Option<Title>,
    /// Another description.
    pub description: Option<Description>,
    /// Another status.
    pub status: Option<IncidentStatus>,
    /// Another severity.
    pub severity: Option<Severity>,
    /// Other services, without repeats, at most [`MAX_SERVICES`].
    pub service_ids: Option<Vec<ServiceId>>,
    /// For others.
    pub audience: AudiencePatch,
}

/// Makes an incident and tells those for whom it is.
///
/// # Errors
/// [`BoardError::TooMany`], [`BoardError::NotOnBoard`], or the store's.
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
    tx.publish(Change::Created.of_incident(&incident, tx.now()))?;
    Ok(incident)
}

/// Changes an incident and tells those for whom it is and was; a change that changes nothing tells
/// nothing.
///
/// # Errors
/// [`BoardError::UnknownIncident`], as [`create`], or the store's.
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

/// Says something of an incident, which may have another status from then on.
///
/// # Errors
/// [`BoardError::UnknownIncident`], [`BoardError::TooMany`], or the store's.
pub fn add_update(
    tx: &mut WriteTx<'_>,
    id: &IncidentId,
    message: Message,
    status: Option<IncidentStatus>,
    actor: &Actor,
) -> Result<Incident, BoardError> {
    let before = expect(tx.connection(), id)?;
    if before.updates.len() >= MAX_UPDATES {
        return Err(BoardError::TooMany {
            what: "updates of one incident",
            most: MAX_UPDATES,
            advice: "open another",
        });
    }
    let said = before.updates.iter().map(|update| &update.message);
    let bytes: usize = said.chain([&message]).map(|text| text.as_str().len()).sum();
    if bytes > MAX_UPDATE_BYTES {
        return Err(BoardError::TooMany {
            what: "bytes in the updates of one incident",
            most: MAX_UPDATE_BYTES,
            advice: "open another",
        });
    }
    let status = status.unwrap_or(before.status);
    let mut after = before.clone().with_status(status, tx.now());
    let update = Update {
        status,
        message,
        created_at: tx.now(),
    };
    rows::add_update(tx.connection(), id, after.updates.len(), &update)?;
    after.updates.push(update);
    record(tx, actor, "incident.update", &after)?;
    save(tx, &before, after)
}

/// Deletes an incident with its updates and tells those for whom it was.
///
/// # Errors
/// [`BoardError::UnknownIncident`], or the store's.
pub fn delete(tx: &mut WriteTx<'_>, id: &IncidentId, actor: &Actor) -> Result<(), BoardError> {
    let incident = expect(tx.connection(), id)?;
    rows::delete(tx.connection(), id)?;
    record(tx, actor, "incident.delete", &incident)?;
    tx.publish(Change::Deleted.of_incident(&incident, tx.now()))?;
    Ok(())
}

impl Incident {
    fn is_open(&self) -> bool {
        self.resolved_at.is_none()
    }

    fn with_status(self, status: IncidentStatus, now: Timestamp) -> Self {
        let resolved_at = match status {
            IncidentStatus::Resolved => self.resolved_at.or(Some(now)),
            _ => None,
        };
        Self {
            status,
            resolved_at,
            ..self
        }
    }
}

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
        tx.publish(events::incident_left(before, tx.now()))?;
    }
    tx.publish(Change::Updated.of_incident(&after, tx.now()))?;
    Ok(after)
}

/// Whoever sees the incident sees its services too, or learns that they are gone: those that it
/// named before may be.
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

/// Whether one more may be open, if this one is.
fn check_open(db: &Connection, incident: &Incident) -> Result<(), BoardError> {
    if incident.is_open() && rows::count_open(db)? >= MAX_OPEN {
        return Err(BoardError::TooMany {
            what: "open incidents",
            most: MAX_OPEN,
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
