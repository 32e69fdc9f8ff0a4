//! The real binary as a person types it: what stands on stdout and stderr, and the exit code.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "helpers of tests fail as tests do"
)]

mod backup;
mod daemon;
mod handed_out;
mod options;
mod program;
mod restore;
#[allow(
    dead_code,
    missing_docs,
    unreachable_pub,
    unused_imports,
    reason = "the other tests' support, of which these use a part"
)]
#[path = "../it/support/mod.rs"]
mod support;
mod token;
mod upgrade;
mod watch;
