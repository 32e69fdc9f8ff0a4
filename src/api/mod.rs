//! The HTTP API: the route table, the router and the handlers of every feature. Handlers parse requests and build
//! replies; the features do the work.

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
mod route;
pub(crate) mod router;
mod routes;
mod services;
mod session_json;
mod stats;
mod system;
mod tokens;
mod users;
mod web;

pub use router::respond;
pub use routes::keyed_routes;
