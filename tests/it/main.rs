//! Everything through the front door: each test starts its own daemon over real TLS.

#![allow(
    missing_docs,
    unreachable_pub,
    dead_code,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "tests may fail loudly, and their support is used by some of them at a time"
)]
mod areas;
mod audit;
mod clients;
mod credentials;
mod health;
mod house;
mod ingress;
mod listeners;
mod pairing_asked;
mod pairing_offered;
mod refusals;
mod secrets;
mod sessions;
mod support;
mod tls;
mod tokens;
