//! The `wallcast` program: passes arguments and environment to the command line and returns its
//! exit code.

use std::process::ExitCode;

fn main() -> ExitCode {
    // Must come first: a TLS or signing call without a crypto provider panics. An error means that
    // one is already installed.
    let _ = rustls::crypto::ring::default_provider().install_default();
    wallcast::cli::main(std::env::args_os(), std::env::vars_os())
}
