//! For whom something is: everyone, an organisation, a tenant, or both.

use serde::Serialize;

use wallcast_core::event::Topic;
use wallcast_core::ids::{OrganizationId, TenantId};

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
            (Some(organization), Some(tenant)) => Topic::OrganizationTenant(organization, tenant),
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
