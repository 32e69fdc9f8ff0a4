//! Everything through the front door: each test starts its own daemon over real TLS.

#![allow(
    missing_docs,
    unreachable_pub,
    dead_code,
    unused_imports,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::large_futures,
    reason = "tests may fail loudly, and their support is used by some of them at a time"
)]
mod areas;
mod audience;
mod audit;
mod authenticating;
mod board;
mod broadcast;
mod bus;
mod clients;
mod commands;
mod credentials;
mod delivery;
mod endings;
mod entities;
mod entitled;
mod entity_calls;
mod events;
mod forbidden;
mod frames;
mod handshake;
mod health;
mod hearing;
mod help;
mod home;
mod house;
mod ingress;
mod ingress_admins;
mod kiosks;
mod listeners;
mod lockers;
mod looking;
mod messages;
mod mirror;
mod once;
mod pairing_asked;
mod pairing_ended;
mod pairing_offered;
mod pairing_sockets;
mod people;
mod polling;
mod receipts;
mod refusals;
mod resume;
mod rooms;
mod seats;
mod secrets;
mod send;
mod sessions;
mod socket_limits;
mod sse;
mod stats;
mod support;
mod system;
mod tls;
mod tokens;
mod waiting;
mod web;
