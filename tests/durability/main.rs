//! Load tests that no durable event is lost, duplicated or reordered: the daemon is killed, connections
//! are cut or left half-open, and tablets stop reading. At the end, the events that each tablet received
//! are compared with those that the history says it should have received.
//!
//! `make test` runs about a minute of them, `make torture` ten. A run prints its seed; set
//! `WALLCAST_SEED` to repeat its random choices.

#![allow(
    missing_docs,
    unreachable_pub,
    dead_code,
    unused_imports,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::large_futures,
    reason = "tests may panic, and each test binary uses only a part of the support module"
)]

mod connection_loss;
mod connector;
mod history;
mod json;
mod kills;
mod load_test;
mod polling;
mod proxy;
mod random;
mod receiver;
mod report;
mod slow_readers;
mod socketio;
mod sse;
#[path = "../it/support/mod.rs"]
mod support;
mod tablet;
mod torture;
mod writer;
