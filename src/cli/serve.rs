//! `wallcast serve`: sets up the log and the runtime, and runs the daemon. Prints nothing itself.

use std::thread::available_parallelism;

use super::CliError;
use crate::{config::Config, daemon, logging};

/// Maximum worker threads. The daemon mostly waits, so more would only cost memory.
const MAX_WORKERS: usize = 4;

pub(super) fn run(config: Config) -> Result<(), CliError> {
    logging::init(config.log_level, config.log_format)
        .map_err(|error| CliError::Failed(format!("the log cannot be set up: {error}")))?;
    if !config.ingress_verify_admin {
        tracing::warn!(
            option = "ingress_verify_admin",
            "off: everyone who comes through ingress is an admin"
        );
    }
    let workers = available_parallelism().map_or(1, |n| n.get().min(MAX_WORKERS));
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(workers)
        .thread_name("wallcast")
        .enable_all()
        .build()
        .map_err(|error| CliError::Failed(format!("the runtime cannot start: {error}")))?;
    Ok(runtime.block_on(daemon::run(config))?)
}
