//! A session in the reply of `GET /api/websocket/info`.

use std::net::IpAddr;

use serde::Serialize;
use wallcast_core::auth::Role;
use wallcast_core::clock::Timestamp;
use wallcast_core::hub::Session;
use wallcast_core::ids::{ConnectionId, OrganizationId, TenantId};

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct SessionJson {
    connection_id: ConnectionId,
    /// The client's id, or the connection id if the principal is not a client.
    client_id: String,
    user_id: String,
    role: Role,
    dialect: &'static str,
    namespace: &'static str,
    organization_id: Option<OrganizationId>,
    tenant_id: Option<TenantId>,
    /// `None` on the local socket.
    address: Option<IpAddr>,
    connected_at: Timestamp,
    last_seen_at: Timestamp,
    messages_sent: u64,
    messages_received: u64,
}

impl SessionJson {
    pub(super) fn new(session: &Session) -> Self {
        let principal = session.principal();
        let client = principal.client_id().map(|id| id.as_str());
        let metrics = session.metrics();
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
            connected_at: metrics.connected_at(),
            last_seen_at: metrics.last_seen_at(),
            messages_sent: metrics.messages_sent(),
            messages_received: metrics.messages_received(),
        }
    }
}
