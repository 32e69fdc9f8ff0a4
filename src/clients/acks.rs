//! How far each tablet has acknowledged its events (contract 4.5, `ack`).
//!
//! Kept in memory and written together once a second at most: a tablet may acknowledge every
//! event, and a disk need not hear of each. A kill loses a second of it, which a tablet's next
//! acknowledgement makes good.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;

use super::rows;
use crate::event::EventId;
use crate::ids::ClientId;
use crate::shutdown::Shutdown;
use crate::store::{Store, StoreError};

/// How long acknowledgements are collected before they are written.
const COLLECT: Duration = Duration::from_secs(1);

/// Acknowledgements that are not written yet.
#[derive(Debug, Default)]
pub struct Acks {
    pending: Mutex<HashMap<ClientId, EventId>>,
    noted: Notify,
}

impl Acks {
    /// The tablet has done everything up to and with this event. An older one changes nothing.
    pub fn note(&self, client: &ClientId, id: EventId) {
        let mut pending = self.pending();
        let acked = pending.entry(client.clone()).or_default();
        *acked = id.max(*acked);
        drop(pending);
        self.noted.notify_one();
    }

    /// How far a tablet is, of which the store knows `stored`.
    pub fn newest(&self, client: &ClientId, stored: Option<EventId>) -> Option<EventId> {
        self.pending().get(client).copied().max(stored)
    }

    /// Writes what was noted, until the daemon stops; then once more.
    pub async fn run(self: Arc<Self>, store: Store, shutdown: Shutdown) {
        let _busy = shutdown.busy();
        loop {
            tokio::select! {
                () = self.noted.notified() => {}
                () = shutdown.begun() => break,
            }
            tokio::select! {
                () = tokio::time::sleep(COLLECT) => {}
                () = shutdown.begun() => {}
            }
            self.write(&store).await;
        }
        self.write(&store).await;
    }

    async fn write(&self, store: &Store) {
        let noted = self.pending().clone();
        if noted.is_empty() {
            return;
        }
        let rows = noted.clone();
        let written = store.write(move |tx| {
            for (client, id) in &rows {
                rows::set_acked(tx.connection(), client, *id)?;
            }
            Ok::<_, StoreError>(())
        });
        match written.await {
            // What was noted meanwhile waits for the next turn.
            Ok(()) => self
                .pending()
                .retain(|client, id| noted.get(client).is_none_or(|written| written < id)),
            Err(error) => {
                tracing::warn!(%error, "acknowledgements could not be stored; trying again");
                self.noted.notify_one();
            }
        }
    }

    fn pending(&self) -> MutexGuard<'_, HashMap<ClientId, EventId>> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
