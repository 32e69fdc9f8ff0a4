//! The proof that nothing durable is ever lost: a house under load whose daemon is killed, whose
//! connections are cut or left half-open and whose tablets do not read. At the end what every
//! tablet was told is held against what the history says concerned it.
//!
//! `make test` runs a minute of it, `make torture` ten. A run prints its seed; `WALLCAST_SEED`
//! repeats its choices.

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
mod chance;
mod drops;
mod ears;
mod house;
mod json;
mod kills;
mod polling;
mod proxy;
mod socketio;
mod sse;
mod stuck;
#[path = "../it/support/mod.rs"]
mod support;
mod tablet;
mod torture;
mod truth;
mod verdict;
mod way;
mod writer;
