//! The two descriptions from which a pairing creates a client: the admin's and the tablet's own.

use wallcast_core::ids::{AreaId, ClientId, KioskId, OrganizationId, TenantId};

use crate::clients::ClientName;

/// What the admin sets for the client. `None` keeps the old value of a client that is paired again; a new client gets
/// no value.
#[derive(Clone, Debug, Default)]
pub struct ClientSettings {
    /// Without it the client gets the tablet's own name.
    pub name: Option<ClientName>,
    pub area_ids: Option<Vec<AreaId>>,
    pub organization_id: Option<OrganizationId>,
    pub tenant_id: Option<TenantId>,
    pub kiosk_id: Option<KioskId>,
    /// The existing client to pair again, instead of creating one.
    pub client_id: Option<ClientId>,
    /// Whether that client becomes active again. Set when an admin approves a request, or creates a code for a client
    /// that is inactive already; a client that is deactivated after its code was created stays inactive.
    pub reactivate: bool,
}

/// How the tablet describes itself.
#[derive(Clone, Debug, Default)]
pub struct DeviceInfo {
    pub name: Option<ClientName>,
    /// At most 100 characters.
    pub platform: Option<String>,
}
