//! Wallcast: the event daemon for wall tablets in a Home Assistant house.
//!
//! The way of an event: a request (`server`) or a socket's command (`transport`) asks a slice
//! (`areas`, `clients`, `pairing`, …) for a change. The slice writes it and its events in one
//! transaction of the `store`; `history` gives the events their ids. After the commit the store's
//! writer hands them to the `hub`, which pushes each into the outbox of every session that listens
//! on one of its topics. The task of each connection (`transport`) drains its outboxes and writes
//! bytes that were encoded once. See ARCHITECTURE.md.

pub mod app;
pub mod areas;
pub mod audit;
pub mod auth;
pub mod board;
pub mod broadcast;
pub mod cli;
pub mod clients;
pub mod clock;
pub mod commands;
pub mod config;
pub mod entities;
pub mod event;
pub mod expiry;
pub mod help;
pub mod history;
pub mod home;
pub mod hub;
pub mod idempotency;
pub mod ids;
mod keys;
pub mod lockers;
pub mod logging;
pub mod messages;
pub mod openapi;
pub mod pairing;
mod pause;
pub mod protocol;
pub mod random;
pub mod realtime;
mod restored;
mod retention;
pub mod rooms;
pub mod server;
pub mod shutdown;
pub mod stats;
pub mod store;
pub mod supervisor;
pub mod system;
pub mod text;
pub mod tls;
pub mod tokens;
pub mod web;
