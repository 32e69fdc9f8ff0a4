//! The real binary as a person types it: what stands on stdout and stderr, and the exit code.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "helpers of tests fail as tests do"
)]

mod daemon;
mod options;
mod program;
mod token;
mod watch;
