//! An incident of the status board, as it is stored and as JSON.

use serde::Serialize;
use wallcast_core::clock::Timestamp;
use wallcast_core::ids::{IncidentId, ServiceId};

use super::status::IncidentStatus;
use super::text::{Description, Severity, Title, UpdateMessage};
use crate::access::{Audience, AudiencePatch};

/// How many incidents can be open at once.
pub(super) const MAX_OPEN: usize = 100;
/// How many updates an incident can have.
pub(super) const MAX_UPDATES: usize = 100;
/// Bytes of the messages of all updates of an incident. Every event about the incident contains
/// all of them.
pub(super) const MAX_UPDATE_BYTES: usize = 128 * 1024;
/// How many services an incident can name.
pub const MAX_SERVICES: usize = 100;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Incident {
    /// Row id; lists are ordered by it.
    pub place: i64,
    pub id: IncidentId,
    pub title: Title,
    pub description: Description,
    pub status: IncidentStatus,
    pub severity: Severity,
    /// The affected services, without duplicates. Some may have been deleted since.
    pub service_ids: Vec<ServiceId>,
    /// Whose boards show the incident.
    pub audience: Audience,
    /// Oldest first.
    pub updates: Vec<IncidentUpdate>,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
    /// `None` while the incident is open.
    pub resolved_at: Option<Timestamp>,
}

impl Incident {
    pub(super) fn is_open(&self) -> bool {
        self.resolved_at.is_none()
    }

    /// Sets the status and `resolved_at` to match. An incident that is resolved already keeps its
    /// time.
    pub(super) fn with_status(self, status: IncidentStatus, now: Timestamp) -> Self {
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

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct IncidentUpdate {
    /// The incident's status since this update.
    pub status: IncidentStatus,
    pub message: UpdateMessage,
    pub created_at: Timestamp,
}

/// An incident as JSON (docs/protocol.md#status-board).
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
    updates: Vec<IncidentUpdate>,
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

#[derive(Clone, Debug)]
pub struct NewIncident {
    pub title: Title,
    pub description: Description,
    pub status: IncidentStatus,
    pub severity: Severity,
    /// Without duplicates, at most [`MAX_SERVICES`].
    pub service_ids: Vec<ServiceId>,
    pub audience: Audience,
}

/// Changes to an incident. `None` keeps a field.
#[derive(Clone, Debug, Default)]
pub struct IncidentPatch {
    pub title: Option<Title>,
    pub description: Option<Description>,
    pub status: Option<IncidentStatus>,
    pub severity: Option<Severity>,
    /// Without duplicates, at most [`MAX_SERVICES`].
    pub service_ids: Option<Vec<ServiceId>>,
    pub audience: AudiencePatch,
}
