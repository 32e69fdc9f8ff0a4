//! `wallcast health`: asks the running daemon for its health. One line and an exit code, for a
//! container's health check.

use std::time::Duration;

use hyper::{Method, StatusCode};
use serde_json::Value;

use super::{
    CliError,
    api::{ApiClient, block_on},
    output,
};
use crate::config::Config;

/// A health check must fail rather than hang.
const HEALTH_TIMEOUT: Duration = Duration::from_secs(5);

pub(super) fn run(config: &Config) -> Result<(), CliError> {
    block_on(async {
        tokio::time::timeout(HEALTH_TIMEOUT, check_health(config))
            .await
            .unwrap_or_else(|_| {
                let text = format!("unhealthy: no answer within {} s", HEALTH_TIMEOUT.as_secs());
                Err(CliError::Failed(text))
            })
    })?
}

async fn check_health(config: &Config) -> Result<(), CliError> {
    let Some(api) = ApiClient::running_daemon(config).await? else {
        let folder = config.data_dir.display();
        let text = format!("unhealthy: no daemon runs on the data folder {folder}");
        return Err(CliError::Failed(text));
    };
    let reply = api.send(Method::GET, "/health", None).await?;
    let body: Value = serde_json::from_slice(&reply.body).unwrap_or_default();
    if reply.status == StatusCode::OK {
        let version = body.get("version").and_then(Value::as_str).unwrap_or("?");
        return output::line(&output::printable(&format!("healthy, version {version}")));
    }
    let status = reply.status.as_u16();
    let text = format!("unhealthy: the daemon answers {status}{}", services(&body));
    Err(CliError::Failed(text))
}

/// The state of the daemon's services, as ` (database disconnected, …)`.
fn services(body: &Value) -> String {
    let Some(services) = body.get("services").and_then(Value::as_object) else {
        return String::new();
    };
    let words: Vec<String> = services
        .iter()
        .filter_map(|(name, state)| {
            let state = state.get("status").unwrap_or(state);
            Some(format!("{name} {}", state.as_str()?))
        })
        .collect();
    format!(" ({})", words.join(", "))
}
