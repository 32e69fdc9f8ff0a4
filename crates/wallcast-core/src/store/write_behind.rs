//! What a kill may lose a second of: collected in memory and written together, since a disk need not
//! hear of each.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rusqlite::Connection;
use tokio::sync::Notify;

use super::{Store, StoreError};
use crate::shutdown::Shutdown;

/// How long values are collected before they are written.
const COLLECT: Duration = Duration::from_secs(1);

/// Values that are not written yet, one for each key.
#[derive(Debug)]
pub struct WriteBehind<K, V> {
    pending: Mutex<HashMap<K, V>>,
    noted: Notify,
}

impl<K, V> Default for WriteBehind<K, V> {
    fn default() -> Self {
        Self {
            pending: Mutex::default(),
            noted: Notify::new(),
        }
    }
}

impl<K, V> WriteBehind<K, V>
where
    K: Clone + Eq + Hash + Send + 'static,
    V: Copy + PartialEq + Send + 'static,
{
    /// Has a value written: what `settle` makes of the one that waits, if one does.
    pub fn note(&self, key: K, settle: impl FnOnce(Option<V>) -> V) {
        {
            let mut pending = self.pending();
            let value = settle(pending.get(&key).copied());
            pending.insert(key, value);
        }
        self.noted.notify_one();
    }

    /// The value that waits.
    pub fn get(&self, key: &K) -> Option<V> {
        self.pending().get(key).copied()
    }

    /// Writes what was noted, each by `write`, until the daemon stops; then once more.
    pub async fn run(
        &self,
        store: &Store,
        shutdown: Shutdown,
        write: fn(&Connection, &K, V) -> rusqlite::Result<()>,
    ) {
        let _busy = shutdown.work_guard();
        loop {
            tokio::select! {
                () = self.noted.notified() => {}
                () = shutdown.begun() => break,
            }
            tokio::select! {
                () = tokio::time::sleep(COLLECT) => {}
                () = shutdown.begun() => {}
            }
            self.write(store, write).await;
        }
        self.write(store, write).await;
    }

    async fn write(&self, store: &Store, write: fn(&Connection, &K, V) -> rusqlite::Result<()>) {
        let noted = self.pending().clone();
        if noted.is_empty() {
            return;
        }
        let rows = noted.clone();
        let written = store.write(move |tx| {
            for (key, value) in &rows {
                write(tx.connection(), key, *value)?;
            }
            Ok::<_, StoreError>(())
        });
        match written.await {
            // What was noted meanwhile waits for the next turn.
            Ok(()) => self
                .pending()
                .retain(|key, value| noted.get(key) != Some(value)),
            Err(error) => {
                tracing::warn!(%error, "what was collected could not be stored; trying again");
                self.noted.notify_one();
            }
        }
    }

    fn pending(&self) -> MutexGuard<'_, HashMap<K, V>> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
