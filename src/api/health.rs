//! `GET /health`, for people, proxies and Docker's HEALTHCHECK (`docs/protocol.md#health`).

use std::sync::Arc;

use hyper::StatusCode;
use hyper::header::RETRY_AFTER;
use serde_json::json;
use wallcast_core::clock::Timestamp;

use crate::app::App;
use crate::http::{ApiError, Reply, Request};

/// 200 if the store can be written, otherwise 503. The endpoint is public, so it reveals nothing about the home.
pub(super) async fn get(app: Arc<App>, _request: Request) -> Result<Reply, ApiError> {
    let is_writable = app.store.probe().await;
    let body = json!({
        "status": if is_writable { "ok" } else { "unavailable" },
        "timestamp": Timestamp::now(),
        "version": env!("CARGO_PKG_VERSION"),
        "services": {
            "database": if is_writable { "connected" } else { "not writable" },
            "redis": "disabled",
            "homeassistant": app.home.state().as_str(),
            "websocket": {
                "status": "active",
                "connections": app.sockets.open(),
                "authenticatedUsers": app.hub.principal_count(),
            },
        },
    });
    if is_writable {
        Ok(Reply::ok(&body))
    } else {
        Ok(Reply::json(StatusCode::SERVICE_UNAVAILABLE, &body).with_header(RETRY_AFTER, "5"))
    }
}
