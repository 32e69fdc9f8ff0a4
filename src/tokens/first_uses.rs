//! When tokens that answer no pairing were first used, for the list that admins see.
//!
//! Kept in memory and written together once a second at most: connecting waits for no disk
//! (contract 4.1). A kill loses a second of it, which the token's next use makes good.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;

use super::rows;
use crate::clock::Timestamp;
use crate::ids::Jti;
use crate::shutdown::Shutdown;
use crate::store::{Store, StoreError};

/// How long first uses are collected before they are written.
const COLLECT: Duration = Duration::from_secs(1);

/// First uses that are not written yet.
#[derive(Debug, Default)]
pub struct FirstUses {
    pending: Mutex<HashMap<Jti, Timestamp>>,
    noted: Notify,
}

impl FirstUses {
    /// A token that stands was used at `at`; an earlier use is not forgotten for it.
    pub fn note(&self, jti: Jti, at: Timestamp) {
        let is_first = {
            let mut pending = self.pending();
            pending.entry(jti).or_insert(at);
            pending.len() == 1
        };
        if is_first {
            self.noted.notify_one();
        }
    }

    /// When a token was first used, of which the store knows `stored`.
    pub fn known(&self, jti: &Jti, stored: Option<Timestamp>) -> Option<Timestamp> {
        stored.or_else(|| self.pending().get(jti).copied())
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
            for (jti, at) in &rows {
                rows::mark_first_use(tx.connection(), jti, *at)?;
            }
            Ok::<_, StoreError>(())
        });
        let is_left = match written.await {
            Ok(()) => {
                let mut pending = self.pending();
                pending.retain(|jti, _| !noted.contains_key(jti));
                !pending.is_empty()
            }
            Err(error) => {
                tracing::warn!(%error, "first uses of tokens could not be stored; trying again");
                true
            }
        };
        // What was noted meanwhile waits for the next turn.
        if is_left {
            self.noted.notify_one();
        }
    }

    fn pending(&self) -> MutexGuard<'_, HashMap<Jti, Timestamp>> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_use_counts_and_what_is_stored_before_it() {
        let uses = FirstUses::default();
        let (jti, at) = (Jti::random(), Timestamp::from_unix_ms);
        assert_eq!(uses.known(&jti, None), None);
        uses.note(jti.clone(), at(5));
        uses.note(jti.clone(), at(6));
        assert_eq!(uses.known(&jti, None), Some(at(5)));
        assert_eq!(uses.known(&jti, Some(at(4))), Some(at(4)));
    }
}
