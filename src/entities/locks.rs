//! Locks of mirrored areas are lockers too (contract 6.5): their states go to the slice of lockers,
//! of each the newest, as fast as the store takes them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;

use super::state::State;
use crate::app::App;
use crate::lockers;
use wallcast_core::entity_id::EntityId;
use wallcast_core::ids::LockerId;
use wallcast_core::store::StoreError;

/// How long a store that cannot write is left alone.
const AFTER_FAILURE: Duration = Duration::from_secs(5);

/// Of each lock the newest state that the store has not taken; bounded by the locks there are.
#[derive(Debug, Default)]
pub(super) struct Locks {
    waiting: Mutex<BTreeMap<LockerId, lockers::State>>,
    noted: Notify,
}

impl Locks {
    /// Takes the state of a lock, and of nothing else.
    pub(super) fn note(&self, entity: &EntityId, state: &State) {
        if entity.domain() != "lock" {
            return;
        }
        if let (Ok(locker), Ok(state)) = (entity.as_str().parse(), state.value.parse()) {
            self.with(|waiting| waiting.insert(locker, state));
            self.noted.notify_one();
        }
    }

    fn with<T>(&self, act: impl FnOnce(&mut BTreeMap<LockerId, lockers::State>) -> T) -> T {
        act(&mut self.waiting.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Passes states on for as long as the store stands.
    pub(super) async fn pass_on(&self, app: &Arc<App>) {
        loop {
            self.noted.notified().await;
            while let Some((locker, state)) = self.with(BTreeMap::pop_first) {
                let (of, to) = (locker.clone(), state.clone());
                let told = app.store.write(move |tx| {
                    lockers::mirror::report(tx, &of, to)?;
                    Ok::<_, StoreError>(())
                });
                if let Err(error) = told.await {
                    tracing::warn!(%error, %locker, "the state of a lock was not kept");
                    self.with(|waiting| {
                        waiting.entry(locker).or_insert(state);
                    });
                    tokio::time::sleep(AFTER_FAILURE).await;
                }
            }
        }
    }
}
