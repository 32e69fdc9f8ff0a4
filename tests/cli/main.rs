//! Runs the real binary from the command line and checks stdout, stderr and the exit code.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "tests may panic"
)]

mod backup;
mod control_server;
mod home_assistant_backup;
mod options;
mod program;
mod restore;
#[allow(
    dead_code,
    missing_docs,
    unreachable_pub,
    unused_imports,
    reason = "shared with other test binaries; this one uses a part"
)]
#[path = "../it/support/mod.rs"]
mod support;
mod token;
mod upgrade;
mod watch;
