//! A session as admins see it (contract 6.4).

use serde::Serialize;

use wallcast_core::auth::Role;
use wallcast_core::clock::Timestamp;
use wallcast_core::hub::{Address, Session};
use wallcast_core::ids::{ConnectionId, OrganizationId, TenantId};

/// A session on the wire.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct SessionJson {
    connection_id: ConnectionId,
    /// The principal's for a client, else the session's (contract 4.4).
    client_id: String,
    user_id: String,
    role: Role,
    dialect: &'static str,
    namespace: &'static str,
    organization_id: Option<OrganizationId>,
    tenant_id: Option<TenantId>,
    /// None on the command line's socket.
    address: Option<Address>,
    connected_at: Timestamp,
    last_seen_at: Timestamp,
    messages_sent: u64,
    messages_received: u64,
}

impl SessionJson {
    pub(crate) fn of(session: &Session) -> Self {
        let principal = session.principal();
        let client = principal.client_id().map(|id| id.as_str());
        let traffic = session.metrics();
        Self {
            connection_id: session.id().clone(),
            client_id: client.unwrap_or(session.id().as_str()).to_owned(),
            user_id: principal.subject.id().to_owned(),
            role: principal.role(),
            dialect: session.dialect().as_str(),
            namespace: session.namespace().path(),
            organization_id: principal.organization_id,
            tenant_id: principal.tenant_id,
            address: session.address(),
            connected_at: traffic.connected_at(),
            last_seen_at: traffic.last_seen_at(),
            messages_sent: traffic.messages_sent(),
            messages_received: traffic.messages_received(),
        }
    }
}
