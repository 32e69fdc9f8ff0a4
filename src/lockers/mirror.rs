//! Mirrors the locks of Home Assistant's areas as lockers (`docs/protocol.md#lockers`).
//!
//! A mirrored locker's kiosk is its area, and its state is the state of the lock's entity. Admins cannot change either.

use std::collections::BTreeMap;

use wallcast_core::ids::{KioskId, LockerId};
use wallcast_core::store::WriteTx;

use super::locker::{Locker, LockerState};
use super::{rows, save_changes};

/// The state of a lock until Home Assistant has reported one.
const UNKNOWN: &str = "unknown";

/// Replaces the set of mirrored lockers. It publishes nothing, because no state changes. If an admin created a locker
/// with the id of a lock, the admin's locker stays.
pub fn put(tx: &mut WriteTx<'_>, mut wanted: BTreeMap<LockerId, KioskId>) -> rusqlite::Result<()> {
    for before in rows::mirrored(tx.connection())? {
        match wanted.remove(&before.id) {
            Some(kiosk_id) => {
                let mut locker = Locker {
                    kiosk_id,
                    ..before.clone()
                };
                save_changes(tx, &before, &mut locker)?;
            }
            None => {
                rows::delete(tx.connection(), &before.id)?;
            }
        }
    }
    let Ok(state) = UNKNOWN.parse::<LockerState>() else {
        return Ok(());
    };
    if !wanted.is_empty() {
        // Their states may be in memory already and are stored as soon as they are visible.
        tx.change_audience();
    }
    for (id, kiosk_id) in wanted {
        let locker = Locker {
            id,
            kiosk_id,
            state: state.clone(),
            is_mirrored: true,
            created_at: tx.now(),
            updated_at: tx.now(),
        };
        rows::insert(tx.connection(), &locker)?;
    }
    Ok(())
}

/// Stores a lock's state and publishes a change. The first state of a new locker is stored without an event. Locks that
/// are not mirrored, or whose area is disabled, are skipped; enabling the area reports its locks again.
pub fn report(tx: &mut WriteTx<'_>, id: &LockerId, state: LockerState) -> rusqlite::Result<()> {
    let Some(before) = rows::find(tx.connection(), id)?.filter(|locker| locker.is_mirrored) else {
        return Ok(());
    };
    if !rows::is_in_enabled_area(tx.connection(), id)? {
        return Ok(());
    }
    let mut locker = Locker {
        state,
        ..before.clone()
    };
    if before.state.as_str() != UNKNOWN {
        return save_changes(tx, &before, &mut locker);
    }
    locker.updated_at = tx.now();
    rows::update(tx.connection(), &locker)
}
