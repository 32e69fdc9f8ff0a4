//! Forwards the states of lock entities to the lockers they stand for: each lock of a mirrored area
//! is also a locker (`docs/protocol.md#lockers`).

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use wallcast_core::entity_id::EntityId;
use wallcast_core::ids::LockerId;
use wallcast_core::store::{Store, StoreError};

use super::state::EntityState;
use crate::lockers;

/// Delay before writing again after the store refused a write.
const AFTER_FAILURE: Duration = Duration::from_secs(5);

/// The newest state of each lock that is not written to the store yet. Bounded by the number of
/// locks.
#[derive(Debug, Default)]
pub(super) struct LockStates {
    unsaved: Mutex<BTreeMap<LockerId, lockers::LockerState>>,
    recorded: Notify,
}

impl LockStates {
    /// Queues the state if the entity is a lock.
    pub(super) fn record(&self, entity: &EntityId, state: &EntityState) {
        if entity.domain() != "lock" {
            return;
        }
        if let (Ok(locker), Ok(state)) = (entity.as_str().parse(), state.value.parse()) {
            self.with(|unsaved| unsaved.insert(locker, state));
            self.recorded.notify_one();
        }
    }

    fn with<T>(&self, act: impl FnOnce(&mut BTreeMap<LockerId, lockers::LockerState>) -> T) -> T {
        act(&mut self.unsaved.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Writes queued states to the store until the future is dropped.
    pub(super) async fn save_loop(&self, store: &Store) {
        loop {
            self.recorded.notified().await;
            while let Some((locker, state)) = self.with(BTreeMap::pop_first) {
                let (id, new_state) = (locker.clone(), state.clone());
                let saved = store.write(move |tx| {
                    lockers::mirror::report(tx, &id, new_state)?;
                    Ok::<_, StoreError>(())
                });
                if let Err(error) = saved.await {
                    tracing::warn!(%error, %locker, "lock state not saved");
                    self.with(|unsaved| {
                        unsaved.entry(locker).or_insert(state);
                    });
                    tokio::time::sleep(AFTER_FAILURE).await;
                }
            }
        }
    }
}
