//! A write-behind cache for values of which a crash may lose the last second, such as acknowledged positions. It
//! collects them in memory and writes them in one transaction, so that the disk does not sync for each.

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

/// Values that are not yet written, one per key.
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
    /// Schedules a value to be written: the result of `merge`, which gets the value that is pending for the key.
    pub fn note(&self, key: K, merge: impl FnOnce(Option<V>) -> V) {
        {
            let mut pending = self.pending();
            let value = merge(pending.get(&key).copied());
            pending.insert(key, value);
        }
        self.noted.notify_one();
    }

    /// The value that is pending for the key.
    pub fn get(&self, key: &K) -> Option<V> {
        self.pending().get(key).copied()
    }

    /// Writes the pending values with `write` until shutdown begins, and once more then. A failed transaction is
    /// retried.
    pub async fn run(
        &self,
        store: &Store,
        shutdown: Shutdown,
        write: fn(&Connection, &K, V) -> rusqlite::Result<()>,
    ) {
        let _guard = shutdown.work_guard();
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
        let pending = self.pending().clone();
        if pending.is_empty() {
            return;
        }
        let rows = pending.clone();
        let written = store.write(move |tx| {
            for (key, value) in &rows {
                write(tx.connection(), key, *value)?;
            }
            Ok::<_, StoreError>(())
        });
        match written.await {
            // Values noted in the meantime stay pending.
            Ok(()) => self
                .pending()
                .retain(|key, value| pending.get(key) != Some(value)),
            Err(error) => {
                tracing::warn!(%error, "cannot write collected values; retrying");
                self.noted.notify_one();
            }
        }
    }

    fn pending(&self) -> MutexGuard<'_, HashMap<K, V>> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
