//! The status board (seed 2): services, incidents, and which board shows them.
//!
//! Knows no session: what changes is addressed to the topic of its audience.

mod events;
pub mod incidents;
pub(crate) mod overall;
pub mod own;
pub mod services;
mod status;
mod text;

use serde::Serialize;

pub use status::{IncidentStatus, ServiceStatus};
pub use text::{Description, Message, ServiceName, Severity, Title};

use crate::http::ApiError;
use wallcast_core::event::Topic;
use wallcast_core::ids::{OrganizationId, ServiceId, TenantId};
use wallcast_core::store::StoreError;

/// For whom a service or an incident is, and whose board shows it.
///
/// A board shows what is for its own audience, and what is for more than that: the board of an
/// organisation's tenant shows what is for both, for either, and for everyone.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Audience {
    /// The organisation, or any.
    pub organization_id: Option<OrganizationId>,
    /// The tenant, or any.
    pub tenant_id: Option<TenantId>,
}

impl Audience {
    /// Where its events are addressed, beside admins.
    pub fn topic(&self) -> Topic {
        match (self.organization_id.clone(), self.tenant_id.clone()) {
            (None, None) => Topic::All,
            (Some(organization), None) => Topic::Organization(organization),
            (None, Some(tenant)) => Topic::Tenant(tenant),
            (Some(organization), Some(tenant)) => Topic::Both(organization, tenant),
        }
    }

    /// Whether the board of `other` shows what is for this audience.
    pub fn includes(&self, other: &Self) -> bool {
        let organization = &self.organization_id;
        let tenant = &self.tenant_id;
        (organization.is_none() || *organization == other.organization_id)
            && (tenant.is_none() || *tenant == other.tenant_id)
    }

    /// The audiences whose things this one's board shows, the widest first.
    pub fn layers(&self) -> Vec<Self> {
        let organizations = [None, self.organization_id.clone()];
        let tenants = [None, self.tenant_id.clone()];
        let mut layers = Vec::with_capacity(4);
        for organization_id in &organizations {
            for tenant_id in &tenants {
                let layer = Self {
                    organization_id: organization_id.clone(),
                    tenant_id: tenant_id.clone(),
                };
                if !layers.contains(&layer) {
                    layers.push(layer);
                }
            }
        }
        layers
    }
}

/// What of an audience is to change; what is left out stays, `Some(None)` clears.
#[derive(Clone, Debug, Default)]
pub struct AudiencePatch {
    /// Another organisation.
    pub organization_id: Option<Option<OrganizationId>>,
    /// Another tenant.
    pub tenant_id: Option<Option<TenantId>>,
}

impl AudiencePatch {
    pub(crate) fn apply(self, before: &Audience) -> Audience {
        Audience {
            organization_id: self
                .organization_id
                .unwrap_or_else(|| before.organization_id.clone()),
            tenant_id: self.tenant_id.unwrap_or_else(|| before.tenant_id.clone()),
        }
    }
}

/// How much of the board somebody sees.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum View {
    /// Whatever there is.
    Everything,
    /// The board of this audience.
    Board(Audience),
}

impl View {
    /// The audiences whose things are seen; none for all of them.
    pub fn layers(&self) -> Option<Vec<Audience>> {
        match self {
            Self::Everything => None,
            Self::Board(audience) => Some(audience.layers()),
        }
    }

    /// Whether what is for `audience` is seen.
    pub fn shows(&self, audience: &Audience) -> bool {
        match self {
            Self::Everything => true,
            Self::Board(board) => audience.includes(board),
        }
    }
}

/// Why a change to the board was refused.
#[derive(Debug, thiserror::Error)]
pub enum BoardError {
    /// There is no such service.
    #[error("there is no such service")]
    UnknownService,
    /// There is no such incident.
    #[error("there is no such incident")]
    UnknownIncident,
    /// Wallcast says itself how this service is.
    #[error("Wallcast keeps this service itself; it can be neither changed nor deleted")]
    Own,
    /// A limit is reached.
    #[error("there may be {most} {what}; {advice}")]
    TooMany {
        /// Of what.
        what: &'static str,
        /// How many there may be.
        most: usize,
        /// What to do.
        advice: &'static str,
    },
    /// An incident names a service that those for whom it is do not see, or that is not there.
    #[error("serviceIds names {0}, which is not on the incident's board")]
    NotOnBoard(ServiceId),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<rusqlite::Error> for BoardError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Store(error.into())
    }
}

impl From<BoardError> for ApiError {
    fn from(error: BoardError) -> Self {
        let conflict = hyper::StatusCode::CONFLICT;
        match error {
            BoardError::UnknownService => Self::not_found("service"),
            BoardError::UnknownIncident => Self::not_found("incident"),
            BoardError::Own => Self::new(conflict, "own_service", error.to_string()),
            BoardError::TooMany { .. } => Self::new(conflict, "too_many", error.to_string()),
            BoardError::NotOnBoard(_) => Self::field("serviceIds", error.to_string()),
            BoardError::Store(error) => error.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn audience(organization: &str, tenant: &str) -> Audience {
        Audience {
            organization_id: organization.parse().ok(),
            tenant_id: tenant.parse().ok(),
        }
    }

    #[test]
    fn a_board_shows_its_layers_and_nothing_else() {
        let all: Vec<_> = ["", "o", "p"]
            .iter()
            .flat_map(|o| ["", "t", "u"].map(|t| audience(o, t)))
            .collect();
        for board in &all {
            let shown: Vec<_> = all.iter().filter(|of| of.includes(board)).collect();
            assert_eq!(
                board.layers().iter().collect::<Vec<_>>(),
                shown,
                "{board:?}"
            );
            let view = View::Board(board.clone());
            assert!(shown.iter().all(|of| view.shows(of)));
        }
        assert_eq!(audience("", "").layers().len(), 1);
        assert_eq!(audience("o", "t").layers().len(), 4);
    }

    #[test]
    fn an_audience_has_the_topic_of_whom_it_names() {
        let topic = |o, t| audience(o, t).topic().to_string();
        assert_eq!(topic("", ""), "all");
        assert_eq!(topic("o", ""), "org:o");
        assert_eq!(topic("", "t"), "tenant:t");
        assert_eq!(topic("o", "t"), "both:o t");
    }
}
