//! The HTTP API: every URL, and the function that answers it.

mod areas;
mod audit;
mod board;
pub(crate) mod broadcast;
mod client_position;
mod client_view;
mod clients;
pub(crate) mod commands;
mod entities;
mod events;
mod health;
mod help;
mod idempotency;
mod incidents;
mod lockers;
pub(crate) mod messages;
mod metrics;
pub mod openapi;
mod pages;
mod pairing;
pub(crate) mod router;
mod services;
mod session_json;
mod stats;
mod system;
mod tokens;
mod users;
mod web;

pub use router::{keyed_routes, respond};
