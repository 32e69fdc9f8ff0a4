//! The `wallcast` program: arguments in, exit code out.

use std::process::ExitCode;

fn main() -> ExitCode {
    // Before anything else: a TLS or signing call that finds no provider panics. An error means that one is set.
    let _ = rustls::crypto::ring::default_provider().install_default();
    wallcast::cli::main(std::env::args_os(), std::env::vars_os())
}
