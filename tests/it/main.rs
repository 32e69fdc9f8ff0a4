//! Integration tests over the network: HTTP, WebSocket, Socket.IO and SSE. Each test starts its own daemon.

#![allow(
    missing_docs,
    unreachable_pub,
    dead_code,
    unused_imports,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::large_futures,
    reason = "tests may panic, and no test uses every fixture"
)]
mod area_events;
mod areas;
mod audience;
mod audit;
mod authenticate_message;
mod board;
mod broadcast;
mod client_view;
mod clients;
mod close_codes;
mod command_line;
mod commands;
mod connection_limits;
mod delivery;
mod entity_states;
mod event_history;
mod failed_requests;
mod handshake;
mod health;
mod help_requests;
mod home_bus;
mod home_connection;
mod http_conventions;
mod idempotency;
mod ingress;
mod ingress_admins;
mod kiosks;
mod listeners;
mod lockers;
mod message_delivery;
mod messages;
mod mirror;
mod pairing_codes;
mod pairing_events;
mod pairing_outcomes;
mod pairing_requests;
mod pending_delivery;
mod permissions;
mod polling;
mod resume;
mod rooms;
mod secrets;
mod send;
mod service_calls;
mod session_ids;
mod socket_limits;
mod sse;
mod stats;
mod support;
mod system_status;
mod tls;
mod token_validation;
mod tokens;
mod users;
mod web;
mod websocket_frames;
