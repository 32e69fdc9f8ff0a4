//! `GET /api/v1/websocket/stats` (seed 1), `/api/websocket/info` (seed 2), `/api/websocket/status`
//! (seed 3) and `/metrics`.

use std::sync::Arc;

use serde_json::json;

use crate::api::metrics;
use crate::api::session_json::SessionJson;
use crate::app::App;
use crate::http::{ApiError, Reply, Request, page};
use wallcast_core::clock::Timestamp;
use wallcast_core::event::{Namespace, Topic};
use wallcast_core::hub::{Session, SessionNumber};
use wallcast_core::ids::{InvalidId, OrganizationId, TenantId};

/// Seed 1's statistics. `connected_clients` are sessions, `total_connections` all that there ever
/// were; until something was told or said, `last_activity` is the daemon's start.
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

/// Seed 3's status, latencies in milliseconds.
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

/// `?organizationId=&tenantId=&limit=&cursor=`: seed 2's counts, 0 for what was not asked, and the
/// sessions of what was asked, page by page.
pub(super) async fn info(app: Arc<App>, request: Request) -> Result<Reply, ApiError> {
    let organization: Option<OrganizationId> = named(&request, "organizationId")?;
    let tenant: Option<TenantId> = named(&request, "tenantId")?;
    let (limit, after) = (request.limit()?, page::cursor(&request)?);
    let listeners =
        |topic: Option<Topic>| topic.map_or(0, |topic| app.hub.subscriber_count(&topic));
    let of_organization = listeners(organization.clone().map(Topic::Organization));
    let of_tenant = listeners(tenant.clone().map(Topic::Tenant));
    let asked = match (organization, tenant) {
        (Some(organization), Some(tenant)) => Some(Topic::OrganizationTenant(organization, tenant)),
        (organization, tenant) => organization
            .map(Topic::Organization)
            .or(tenant.map(Topic::Tenant)),
    };
    let after = after.map(SessionNumber::from_cursor);
    let sessions = app.hub.page(asked.as_ref(), after, limit + 1);
    let total = app.hub.session_count();
    let known = Namespace::ALL.map(|namespace| listeners(Some(Topic::Namespace(namespace))));
    let (clients, next) = page::cut(
        sessions,
        limit,
        |session: &Arc<Session>| session.number().get(),
        |session| SessionJson::of(&session),
    );
    Ok(Reply::ok(&json!({
        "success": true,
        "data": {
            "totalConnections": total,
            "organizationConnections": of_organization,
            "tenantConnections": of_tenant,
            "averageConnectionsPerUser": average(known.iter().sum(), app.hub.principal_count()),
            "clients": clients,
            "nextCursor": next,
        },
        "timestamp": Timestamp::now(),
    })))
}

/// `GET /metrics` for Prometheus.
pub(super) async fn metrics(app: Arc<App>, _request: Request) -> Result<Reply, ApiError> {
    Ok(Reply::bytes(metrics::CONTENT_TYPE, metrics::text(&app)))
}

/// An id in the query; empty counts as missing.
fn named<T: std::str::FromStr<Err = InvalidId>>(
    request: &Request,
    name: &'static str,
) -> Result<Option<T>, ApiError> {
    let text = request.query(name).filter(|text| !text.is_empty());
    let parsed = text.map(|text| text.parse()).transpose();
    parsed.map_err(|error| ApiError::field(name, format!("{name} is not right: {error}")))
}

/// Sessions for each principal that has any, waiting tablets left out; 0 while there is none.
fn average(sessions: usize, principals: usize) -> f64 {
    #[allow(
        clippy::cast_precision_loss,
        reason = "there are a few thousand at most"
    )]
    let (sessions, principals) = (sessions as f64, principals.max(1) as f64);
    (sessions / principals * 100.0).round() / 100.0
}

#[cfg(test)]
mod tests {
    use super::average;

    #[test]
    fn the_average_has_two_digits_and_nobody_has_none() {
        for (sessions, principals, is) in [(0, 0, 0.0), (3, 2, 1.5), (10, 3, 3.33)] {
            assert!((average(sessions, principals) - is).abs() < 1e-9);
        }
    }
}
