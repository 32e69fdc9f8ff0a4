//! Wallcast: an event server for wall tablets in a Home Assistant home.
//!
//! The path of an event: an HTTP request (`server`, `api`) or a client message (`realtime`) asks a feature (`areas`,
//! `clients`, `pairing`, …) for a change. The feature writes the change and its events in one transaction of the
//! store; the history assigns the event ids. After the commit the store's writer thread publishes the events through
//! the hub, which queues each one in the outbox of every session subscribed to one of its topics. The hub's dispatcher
//! or the connection's task (`realtime`) writes them; each event is encoded once for each dialect. Store, history and
//! hub are in the crate `wallcast-core`. See ARCHITECTURE.md.

// The crates in `crates/` document every public item. In the application only what a name does not say is documented.
#![allow(missing_docs)]

pub mod access;
pub mod api;
pub mod app;
pub mod areas;
mod authentication;
pub mod board;
pub mod broadcast;
pub mod cli;
pub mod clients;
pub mod commands;
pub mod config;
mod daemon;
pub mod entities;
pub mod expiry;
pub mod help;
pub mod home;
mod home_services;
pub mod http;
mod identity;
mod jobs;
mod keys;
pub mod lockers;
pub mod logging;
pub mod messages;
mod net;
pub mod pairing;
mod pause;
pub mod realtime;
mod restore_notice;
mod retention;
pub mod rooms;
pub mod server;
mod service_calls;
pub mod supervisor;
mod supervisor_host;
pub mod system;
pub mod text;
pub mod tokens;
pub mod web;
