//! Wallcast: the event daemon for wall tablets in a Home Assistant house.
//!
//! The way of an event: a request (`server`) or a socket's command (`transport`) asks a slice
//! (`areas`, `clients`, `pairing`, …) for a change. The slice writes it and its events in one
//! transaction of the `store`; `history` gives the events their ids. After the commit the store's
//! writer hands them to the `hub`, which pushes each into the outbox of every session that listens
//! on one of its topics. The task of each connection (`transport`) drains its outboxes and writes
//! bytes that were encoded once. See ARCHITECTURE.md.

// Inside the application a name and its type say enough; the libraries in `crates` document every public item.
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
