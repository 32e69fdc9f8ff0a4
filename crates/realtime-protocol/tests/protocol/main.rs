//! The protocol layer from outside: real clients, real sockets or pipes on a paused clock, no daemon.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test that cannot go on should say where"
)]

mod engineio;
mod heartbeat;
mod socketio;
mod sse;
mod support;
mod upgrade;
mod websocket;

#[allow(dead_code, reason = "its main starts another server")]
#[path = "../../examples/socketio_echo.rs"]
mod socketio_echo;

#[allow(dead_code, reason = "its main starts another server")]
#[path = "../../examples/ws_echo.rs"]
mod ws_echo;
