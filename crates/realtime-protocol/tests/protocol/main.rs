//! Tests of the crate's public API with real clients, over sockets or over in-memory pipes with paused time.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "tests may panic"
)]

mod engineio;
mod heartbeat;
mod socketio;
mod sse;
mod support;
mod upgrade;
mod websocket;

#[allow(dead_code, reason = "`main` is not used here")]
#[path = "../../examples/suite_server.rs"]
mod suite_server;

#[allow(dead_code, reason = "`main` is not used here")]
#[path = "../../examples/websocket_echo.rs"]
mod websocket_echo;
