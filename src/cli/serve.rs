//! `wallcast serve`: the log, the runtime, the daemon. It prints nothing itself.

use std::thread::available_parallelism;

use super::CliError;
use crate::{config::Config, daemon, logging};

/// More workers than this only cost memory: the daemon waits far more than it computes.
const MOST_WORKERS: usize = 4;

pub(super) fn run(config: Config) -> Result<(), CliError> {
    logging::init(config.log_level, config.log_format)
        .map_err(|error| CliError::Failed(format!("the log cannot be set up: {error}")))?;
    if !config.ingress_verify_admin {
        tracing::warn!(
            option = "ingress_verify_admin",
            "off: whoever comes through ingress is an admin"
        );
    }
    let workers = available_parallelism().map_or(1, |n| n.get().min(MOST_WORKERS));
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(workers)
        .thread_name("wallcast")
        .enable_all()
        .build()
        .map_err(|error| CliError::Failed(format!("the runtime cannot start: {error}")))?;
    Ok(runtime.block_on(daemon::run(config))?)
}
