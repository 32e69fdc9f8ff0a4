//! Says on the status board how it stands with Home Assistant: Wallcast's own service
//! `homeassistant` (contract 6.5 and 7). Tells a change and nothing else.

use std::time::Duration;

use super::{Home, State};
use crate::board::{ServiceStatus, own};
use wallcast_core::shutdown::Shutdown;
use wallcast_core::store::{Store, StoreError};

/// When a write that failed is tried again.
const TRY_EVERY: Duration = Duration::from_secs(5);

/// Serves until the daemon stops.
pub async fn run(home: Home, store: Store, shutdown: Shutdown) {
    let serve = async {
        let mut state = home.watch();
        loop {
            let status = match &*state.borrow_and_update() {
                State::Disabled => None,
                State::Connected(_) => Some(Some(ServiceStatus::Operational)),
                State::Away { .. } => Some(Some(ServiceStatus::MajorOutage)),
                // Nothing new is known yet.
                State::Connecting => Some(None),
            };
            let told = store.write(move |tx| Ok::<_, StoreError>(own::set_home(tx, status)?));
            if let Err(error) = told.await {
                tracing::warn!(%error, "the board cannot say how Home Assistant is");
                tokio::time::sleep(TRY_EVERY).await;
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
