//! Builds the events of the status board: `service-update`, `incident-update` and `status-update`
//! (docs/protocol.md#event-types). No other module builds them.

use serde::Serialize;
use serde_json::json;
use wallcast_core::clock::Timestamp;
use wallcast_core::event::{EventType, NewEvent, Topic};

use super::incident::{Incident, IncidentJson};
use super::service::{Service, ServiceJson};
use super::status::ServiceStatus;
use crate::access::Audience;

/// The `type` inside the data of a board event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ChangeType {
    Created,
    Updated,
    Deleted,
}

impl ChangeType {
    fn as_str(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Updated => "updated",
            Self::Deleted => "deleted",
        }
    }
}

pub(super) fn service_update(change: ChangeType, service: &Service, now: Timestamp) -> NewEvent {
    let data = ServiceJson::from(service.clone());
    let topics = audience_and_admins(&service.audience);
    build(EventType::SERVICE_UPDATE, change, &data, now, topics)
}

pub(super) fn incident_update(change: ChangeType, incident: &Incident, now: Timestamp) -> NewEvent {
    let data = IncidentJson::from(incident.clone());
    let topics = audience_and_admins(&incident.audience);
    build(EventType::INCIDENT_UPDATE, change, &data, now, topics)
}

/// `service-update` with type `deleted` for an audience that can no longer see the service. Admins
/// do not get it, since they still see the service.
pub(super) fn service_hidden(service: &Service, now: Timestamp) -> NewEvent {
    let data = ServiceJson::from(service.clone());
    let topics = vec![service.audience.topic()];
    build(
        EventType::SERVICE_UPDATE,
        ChangeType::Deleted,
        &data,
        now,
        topics,
    )
}

/// `incident-update` with type `deleted` for an audience that can no longer see the incident.
/// Admins do not get it, since they still see the incident.
pub(super) fn incident_hidden(incident: &Incident, now: Timestamp) -> NewEvent {
    let data = IncidentJson::from(incident.clone());
    let topics = vec![incident.audience.topic()];
    build(
        EventType::INCIDENT_UPDATE,
        ChangeType::Deleted,
        &data,
        now,
        topics,
    )
}

/// `status-update`: the overall status of a board changed. The event names its board, because a
/// session also receives the events of the wider boards that its own board includes.
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
        ChangeType::Updated,
        &data,
        now,
        audience_and_admins(board),
    )
}

fn audience_and_admins(audience: &Audience) -> Vec<Topic> {
    vec![audience.topic(), Topic::Admins]
}

fn build(
    event_type: EventType,
    change: ChangeType,
    data: &impl Serialize,
    now: Timestamp,
    topics: Vec<Topic>,
) -> NewEvent {
    let data = json!({ "type": change.as_str(), "data": data, "timestamp": now });
    NewEvent::new(event_type, &data, topics)
}
