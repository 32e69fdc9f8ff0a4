//! The three events of the board (contract section 5), built here and nowhere else.

use serde::Serialize;
use serde_json::json;

use super::incidents::{Incident, IncidentJson};
use super::services::{Service, ServiceJson};
use super::{Audience, ServiceStatus};
use wallcast_core::clock::Timestamp;
use wallcast_core::event::{EventType, NewEvent, Topic};

/// What became of a service or an incident.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change {
    /// It is new.
    Created,
    /// Anything of it changed.
    Updated,
    /// It is gone.
    Deleted,
}

impl Change {
    fn as_str(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Updated => "updated",
            Self::Deleted => "deleted",
        }
    }

    /// `service-update`, to those for whom the service is and to admins.
    pub(super) fn of_service(self, service: &Service, now: Timestamp) -> NewEvent {
        let data = ServiceJson::from(service.clone());
        let topics = told(&service.audience);
        build(EventType::SERVICE_UPDATE, self, &data, now, topics)
    }

    /// `incident-update`, to those for whom the incident is and to admins.
    pub(super) fn of_incident(self, incident: &Incident, now: Timestamp) -> NewEvent {
        let data = IncidentJson::from(incident.clone());
        let topics = told(&incident.audience);
        build(EventType::INCIDENT_UPDATE, self, &data, now, topics)
    }
}

/// The service is not for these any more: to them it is gone.
pub(super) fn service_left(service: &Service, now: Timestamp) -> NewEvent {
    let data = ServiceJson::from(service.clone());
    let topics = vec![service.audience.topic()];
    build(
        EventType::SERVICE_UPDATE,
        Change::Deleted,
        &data,
        now,
        topics,
    )
}

/// The incident is not for these any more: to them it is gone.
pub(super) fn incident_left(incident: &Incident, now: Timestamp) -> NewEvent {
    let data = IncidentJson::from(incident.clone());
    let topics = vec![incident.audience.topic()];
    build(
        EventType::INCIDENT_UPDATE,
        Change::Deleted,
        &data,
        now,
        topics,
    )
}

/// `status-update`: the worst service of a board is another. Names the board, since a session hears
/// of the boards above its own as well.
pub(super) fn status_update(
    board: &Audience,
    before: ServiceStatus,
    status: ServiceStatus,
    now: Timestamp,
) -> NewEvent {
    let data = json!({
        "organizationId": board.organization_id,
        "tenantId": board.tenant_id,
        "status": status,
        "previousStatus": before,
    });
    build(
        EventType::STATUS_UPDATE,
        Change::Updated,
        &data,
        now,
        told(board),
    )
}

fn told(audience: &Audience) -> Vec<Topic> {
    vec![audience.topic(), Topic::Admins]
}

/// Seed 2's shape.
fn build(
    kind: EventType,
    change: Change,
    data: &impl Serialize,
    now: Timestamp,
    topics: Vec<Topic>,
) -> NewEvent {
    let data = json!({ "type": change.as_str(), "data": data, "timestamp": now });
    NewEvent::new(kind, &data, topics)
}
