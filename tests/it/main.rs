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
mod delivery;
mod entity_states;
mod event_history;
mod failed_requests;
mod handshake;
mod health;
mod help_requests;
mod home_bus;
mod home_connection;
mod ingress;
mod ingress_admins;
mod kiosks;
mod listeners;
mod lockers;
mod messages;
mod mirror;
mod once;
mod pairing_asked;
mod pairing_ended;
mod pairing_offered;
mod pairing_sockets;
mod people;
mod permissions;
mod polling;
mod receipts;
mod refusals;
mod resume;
mod rooms;
mod seats;
mod secrets;
mod send;
mod service_calls;
mod sessions;
mod socket_limits;
mod sse;
mod stats;
mod support;
mod system;
mod tls;
mod token_validation;
mod tokens;
mod waiting;
mod web;
mod websocket_frames;
