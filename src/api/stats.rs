//! Connection statistics: `GET /api/v1/websocket/stats` (rooms), `/api/websocket/info` (status board),
//! `/api/websocket/status` (kiosks) and `/metrics` (`docs/protocol.md#statistics`).

use std::sync::Arc;

use serde_json::json;
use wallcast_core::clock::Timestamp;
use wallcast_core::event::{Namespace, Topic};
use wallcast_core::hub::{Session, SessionNumber};
use wallcast_core::ids::{InvalidId, OrganizationId, TenantId};

use crate::api::metrics;
use crate::api::session_json::SessionJson;
use crate::app::App;
use crate::http::{ApiError, Reply, Request, page};

/// `GET /api/v1/websocket/stats`. `connected_clients` counts open sessions, `total_connections` all sessions since the
/// start. `last_activity` is the time of the last message, or the start if there was none.
pub(super) async fn stats(app: Arc<App>, _request: Request) -> Result<Reply, ApiError> {
    let totals = app.hub.metrics().totals();
    let last_activity = totals.last_activity.unwrap_or(app.system.started_at());
    Ok(Reply::ok(&json!({
        "success": true,
        "data": {
            "connected_clients": app.hub.session_count(),
            "total_connections": totals.sessions,
            "messages_sent": totals.sent,
            "messages_received": totals.received,
            "last_activity": last_activity,
        },
        "timestamp": Timestamp::now(),
    })))
}

/// `GET /api/websocket/status`: sessions by namespace, and latencies in milliseconds.
pub(super) async fn status(app: Arc<App>, _request: Request) -> Result<Reply, ApiError> {
    let stats = app.hub.connection_stats();
    Ok(Reply::ok(&json!({
        "status": "active",
        "namespaces": {
            (Namespace::Lockers.path()): stats.lockers,
            (Namespace::Help.path()): stats.help,
            (Namespace::Events.path()): stats.events,
        },
        "total_connections": stats.total,
        "latency_metrics": {
            "median": stats.latency.median,
            "p95": stats.latency.p95,
            "p99": stats.latency.p99,
            "connection_count": stats.total,
        },
        "timestamp": Timestamp::now(),
    })))
}

/// `GET /api/websocket/info?organizationId=&tenantId=&limit=&cursor=`: session counts and a page of sessions. The
/// counts of an organisation and a tenant are 0 if the query does not name one.
pub(super) async fn info(app: Arc<App>, request: Request) -> Result<Reply, ApiError> {
    let organization: Option<OrganizationId> = optional_id(&request, "organizationId")?;
    let tenant: Option<TenantId> = optional_id(&request, "tenantId")?;
    let (limit, after) = (request.limit()?, page::cursor(&request)?);
    let subscribers =
        |topic: Option<Topic>| topic.map_or(0, |topic| app.hub.subscriber_count(&topic));
    let organization_sessions = subscribers(organization.clone().map(Topic::Organization));
    let tenant_sessions = subscribers(tenant.clone().map(Topic::Tenant));
    let topic = match (organization, tenant) {
        (Some(organization), Some(tenant)) => Some(Topic::OrganizationTenant(organization, tenant)),
        (organization, tenant) => organization
            .map(Topic::Organization)
            .or(tenant.map(Topic::Tenant)),
    };
    let after = after.map(SessionNumber::from_cursor);
    let sessions = app.hub.page(topic.as_ref(), after, limit + 1);
    let total = app.hub.session_count();
    let by_namespace =
        Namespace::ALL.map(|namespace| subscribers(Some(Topic::Namespace(namespace))));
    let (clients, next) = page::split(
        sessions,
        limit,
        |session: &Arc<Session>| session.number().get(),
        |session| SessionJson::new(&session),
    );
    Ok(Reply::ok(&json!({
        "success": true,
        "data": {
            "totalConnections": total,
            "organizationConnections": organization_sessions,
            "tenantConnections": tenant_sessions,
            "averageConnectionsPerUser": average(by_namespace.iter().sum(), app.hub.principal_count()),
            "clients": clients,
            "nextCursor": next,
        },
        "timestamp": Timestamp::now(),
    })))
}

pub(super) async fn metrics(app: Arc<App>, _request: Request) -> Result<Reply, ApiError> {
    Ok(Reply::bytes(metrics::CONTENT_TYPE, metrics::render(&app)))
}

/// An optional id in the query. An empty value counts as missing.
fn optional_id<T: std::str::FromStr<Err = InvalidId>>(
    request: &Request,
    name: &'static str,
) -> Result<Option<T>, ApiError> {
    let text = request.query(name).filter(|text| !text.is_empty());
    let parsed = text.map(|text| text.parse()).transpose();
    parsed.map_err(|error| ApiError::field(name, format!("`{name}` is invalid: {error}")))
}

/// The average number of sessions per connected principal, rounded to two digits. Tablets that wait to be paired do not
/// count.
fn average(sessions: usize, principals: usize) -> f64 {
    #[allow(
        clippy::cast_precision_loss,
        reason = "both are a few thousand at most"
    )]
    let (sessions, principals) = (sessions as f64, principals.max(1) as f64);
    (sessions / principals * 100.0).round() / 100.0
}

#[cfg(test)]
mod tests {
    use super::average;

    #[test]
    fn average_is_rounded_and_zero_without_principals() {
        for (sessions, principals, expected) in [(0, 0, 0.0), (3, 2, 1.5), (10, 3, 3.33)] {
            assert!((average(sessions, principals) - expected).abs() < 1e-9);
        }
    }
}
