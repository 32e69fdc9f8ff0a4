//! Audiences: everyone, an organisation, a tenant, or a tenant of an organisation.

use serde::Serialize;
use wallcast_core::event::Topic;
use wallcast_core::ids::{OrganizationId, TenantId};

/// The audience of a service or incident, or of a status board.
///
/// A board shows the items of its own audience and of wider ones: the board of an organisation's tenant shows items
/// for both, for either of them, and for everyone.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Audience {
    /// `None`: every organisation.
    pub organization_id: Option<OrganizationId>,
    /// `None`: every tenant.
    pub tenant_id: Option<TenantId>,
}

impl Audience {
    /// The topic of the audience's events. Admins receive them through [`Topic::Admins`].
    pub fn topic(&self) -> Topic {
        match (self.organization_id.clone(), self.tenant_id.clone()) {
            (None, None) => Topic::All,
            (Some(organization), None) => Topic::Organization(organization),
            (None, Some(tenant)) => Topic::Tenant(tenant),
            (Some(organization), Some(tenant)) => Topic::OrganizationTenant(organization, tenant),
        }
    }

    /// Whether the board of `other` shows items of this audience.
    pub fn includes(&self, other: &Self) -> bool {
        let organization = &self.organization_id;
        let tenant = &self.tenant_id;
        (organization.is_none() || *organization == other.organization_id)
            && (tenant.is_none() || *tenant == other.tenant_id)
    }

    /// The audiences whose items this audience's board shows, widest first.
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

/// A change of an audience: `None` keeps a field, `Some(None)` clears it.
#[derive(Clone, Debug, Default)]
pub struct AudiencePatch {
    pub organization_id: Option<Option<OrganizationId>>,
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

/// The part of the status board that a principal sees.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BoardView {
    Everything,
    Board(Audience),
}

impl BoardView {
    /// The audiences whose items are shown; `None` for all.
    pub fn layers(&self) -> Option<Vec<Audience>> {
        match self {
            Self::Everything => None,
            Self::Board(audience) => Some(audience.layers()),
        }
    }

    /// Whether items of `audience` are shown.
    pub fn shows(&self, audience: &Audience) -> bool {
        match self {
            Self::Everything => true,
            Self::Board(board) => audience.includes(board),
        }
    }
}
