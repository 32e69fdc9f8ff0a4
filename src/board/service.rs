//! A service of the status board, as it is stored and as JSON.

use serde::Serialize;
use wallcast_core::clock::Timestamp;
use wallcast_core::ids::ServiceId;

use super::status::ServiceStatus;
use super::text::{Description, ServiceName};
use crate::access::{Audience, AudiencePatch};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Service {
    /// Row id; lists are ordered by it.
    pub place: i64,
    pub id: ServiceId,
    pub name: ServiceName,
    pub description: Description,
    pub status: ServiceStatus,
    /// Whose boards show the service.
    pub audience: Audience,
    /// Whether Wallcast sets its status itself, and requests cannot change it.
    pub is_built_in: bool,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

/// A service as JSON (docs/protocol.md#status-board).
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

#[derive(Clone, Debug)]
pub struct NewService {
    pub name: ServiceName,
    pub description: Description,
    pub status: ServiceStatus,
    pub audience: Audience,
}

/// Changes to a service. `None` keeps a field.
#[derive(Clone, Debug, Default)]
pub struct ServicePatch {
    pub name: Option<ServiceName>,
    pub description: Option<Description>,
    pub status: Option<ServiceStatus>,
    pub audience: AudiencePatch,
}
