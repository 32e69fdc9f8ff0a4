//! Locks of mirrored areas as lockers, each with its area as its kiosk (contract 6.5). Where they are
//! is decided by the mirror, how they are by their entities' states; no admin changes either here.

use std::collections::BTreeMap;

use super::{Locker, State, keep, rows};
use wallcast_core::ids::{KioskId, LockerId};
use wallcast_core::store::WriteTx;

/// What a lock says as long as nobody has heard of it.
const UNKNOWN: &str = "unknown";

/// Makes the lockers that are Home Assistant's be these and no others, and tells nobody: no state
/// changes by it. A locker of an admin's keeps its id.
///
/// # Errors
/// SQLite's.
pub fn put(tx: &mut WriteTx<'_>, mut wanted: BTreeMap<LockerId, KioskId>) -> rusqlite::Result<()> {
    for before in rows::mirrored(tx.connection())? {
        match wanted.remove(&before.id) {
            Some(kiosk_id) => {
                let mut locker = Locker {
                    kiosk_id,
                    ..before.clone()
                };
                keep(tx, &before, &mut locker)?;
            }
            None => {
                rows::delete(tx.connection(), &before.id)?;
            }
        }
    }
    let Ok(state) = UNKNOWN.parse::<State>() else {
        return Ok(());
    };
    if !wanted.is_empty() {
        // Their states may be known already.
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

/// Notes what a lock says of itself, and tells it if it is news: not the first word of one of which
/// nobody had heard. Anything that is no mirrored locker of an enabled area is passed over, since
/// nothing is told of others; once its area is enabled the lock is reported again.
///
/// # Errors
/// SQLite's.
pub fn report(tx: &mut WriteTx<'_>, id: &LockerId, state: State) -> rusqlite::Result<()> {
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
        return keep(tx, &before, &mut locker);
    }
    locker.updated_at = tx.now();
    rows::update(tx.connection(), &locker)
}
