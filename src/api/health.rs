//! `GET /health` (contract 6.4), for people, proxies and Docker's HEALTHCHECK.

use std::sync::Arc;

use hyper::StatusCode;
use hyper::header::RETRY_AFTER;
use serde_json::json;

use crate::app::App;
use crate::http::{ApiError, Reply, Request};
use wallcast_core::clock::Timestamp;

/// 200 while the store takes writes, else 503. Says nothing of what is in the house.
pub(super) async fn get(app: Arc<App>, _request: Request) -> Result<Reply, ApiError> {
    let writable = app.store.probe().await;
    let body = json!({
        "status": if writable { "ok" } else { "unavailable" },
        "timestamp": Timestamp::now(),
        "version": env!("CARGO_PKG_VERSION"),
        "services": {
            "database": if writable { "connected" } else { "not writable" },
            "redis": "disabled",
            "homeassistant": app.home.state().as_str(),
            "websocket": {
                "status": "active",
                "connections": app.sockets.open(),
                "authenticatedUsers": app.hub.principal_count(),
            },
        },
    });
    if writable {
        Ok(Reply::ok(&body))
    } else {
        Ok(Reply::json(StatusCode::SERVICE_UNAVAILABLE, &body).with_header(RETRY_AFTER, "5"))
    }
}
