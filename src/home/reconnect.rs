//! Connects to Home Assistant and reconnects for as long as the daemon runs. Sends no commands
//! except the ones that open a connection.

use std::time::Duration;

use serde_json::json;
use tokio::time::{Instant, sleep};
use wallcast_core::clock::Timestamp;
use wallcast_core::shutdown::Shutdown;

use super::address::HomeAddress;
use super::connection::HomeConnection;
use super::dial::{DialError, dial};
use super::{ConnectionState, HomeAssistant};
use crate::pause::Pause;

/// After a connection of at least this length, the next attempt starts with the shortest pause
/// again.
const STABLE_AFTER: Duration = Duration::from_secs(30);

/// Runs until the daemon stops.
pub async fn run(home: HomeAssistant, shutdown: Shutdown) {
    let Some(address) = home.0.address.clone() else {
        return;
    };
    tokio::select! {
        () = connect_forever(&home, &address) => {}
        () = shutdown.begun() => {
            if let Ok(connection) = home.connection() {
                connection.close();
            }
        }
    }
}

async fn connect_forever(home: &HomeAssistant, address: &HomeAddress) {
    let mut pause = Pause::default();
    loop {
        let wait = match connect(home, address, &mut pause).await {
            ConnectionFailure::Temporary(reason) => {
                set_disconnected(home, &reason);
                pause.next()
            }
            // Supervisor may be restarting; the token may be valid again afterwards.
            ConnectionFailure::TokenRefused(reason) => {
                set_disconnected(home, &reason);
                pause.longest()
            }
        };
        tracing::debug!(
            wait_ms = wait.as_millis(),
            "reconnect to Home Assistant scheduled"
        );
        sleep(wait).await;
    }
}

/// Why a connection failed or ended.
enum ConnectionFailure {
    Temporary(String),
    TokenRefused(String),
}

/// Connects and serves the connection until it ends.
async fn connect(
    home: &HomeAssistant,
    address: &HomeAddress,
    pause: &mut Pause,
) -> ConnectionFailure {
    let (socket, version) = match dial(address).await {
        Ok(opened) => opened,
        Err(error @ DialError::TokenRefused(_)) => {
            return ConnectionFailure::TokenRefused(error.to_string());
        }
        Err(error) => return ConnectionFailure::Temporary(error.to_string()),
    };
    let (connection, served) = HomeConnection::start(socket, version);
    let mut served = Box::pin(served);
    // Supervisor's proxy authenticates before it has reached Core, so only an answer of Core
    // counts.
    let handshake = async {
        connection
            .send(json!({ "type": "supported_features", "features": { "coalesce_messages": 1 } }))
            .await?;
        connection.ping().await
    };
    let answered = tokio::select! {
        answered = handshake => answered,
        reason = &mut served => return ConnectionFailure::Temporary(reason),
    };
    if let Err(error) = answered {
        return ConnectionFailure::Temporary(error.to_string());
    }
    let connected_at = Instant::now();
    tracing::info!(version = connection.version(), "Home Assistant connected");
    home.set(ConnectionState::Connected(connection.clone()));
    let reason = served.await;
    if connected_at.elapsed() >= STABLE_AFTER {
        pause.reset(None);
    }
    ConnectionFailure::Temporary(reason)
}

/// Sets the state to disconnected. Warns once, not for each failed attempt.
fn set_disconnected(home: &HomeAssistant, reason: &str) {
    if let ConnectionState::Disconnected { .. } = home.state() {
        tracing::debug!(reason, "Home Assistant still not connected");
        return;
    }
    tracing::warn!(reason, "Home Assistant disconnected");
    home.set(ConnectionState::Disconnected {
        since: Timestamp::now(),
    });
}
