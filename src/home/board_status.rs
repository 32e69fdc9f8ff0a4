//! Sets the status of the built-in service `homeassistant` on the status board from the
//! connection's state (`docs/protocol.md#status-board`).

use std::time::Duration;

use wallcast_core::shutdown::Shutdown;
use wallcast_core::store::{Store, StoreError};

use super::{ConnectionState, HomeAssistant};
use crate::board::{ServiceStatus, built_in};

/// Delay before a failed write is tried again.
const RETRY_AFTER: Duration = Duration::from_secs(5);

/// Runs until the daemon stops.
pub async fn run(home: HomeAssistant, store: Store, shutdown: Shutdown) {
    let serve = async {
        let mut state = home.watch();
        loop {
            let status = match &*state.borrow_and_update() {
                ConnectionState::Disabled => None,
                ConnectionState::Connected(_) => Some(Some(ServiceStatus::Operational)),
                ConnectionState::Disconnected { .. } => Some(Some(ServiceStatus::MajorOutage)),
                // The first attempt has no result yet: keep the last status.
                ConnectionState::Connecting => Some(None),
            };
            let written = store
                .write(move |tx| Ok::<_, StoreError>(built_in::set_home_assistant(tx, status)?));
            if let Err(error) = written.await {
                tracing::warn!(%error, "status of Home Assistant not written to the status board");
                tokio::time::sleep(RETRY_AFTER).await;
                continue;
            }
            if state.changed().await.is_err() {
                return;
            }
        }
    };
    tokio::select! {
        () = serve => {}
        () = shutdown.begun() => {}
    }
}
