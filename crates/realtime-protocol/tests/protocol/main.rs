//! Tests of the protocol layer without the daemon: real clients over sockets, or over pipes with paused time.

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
#[path = "../../examples/socketio_echo.rs"]
mod socketio_echo;

#[allow(dead_code, reason = "`main` is not used here")]
#[path = "../../examples/ws_echo.rs"]
mod ws_echo;
