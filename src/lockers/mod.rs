//! Lockers of kiosks, each with a state such as `open` (`docs/protocol.md#lockers`).
//!
//! Admins create lockers and set their states. Locks of Home Assistant's areas are mirrored as lockers that only Home
//! Assistant changes. Every new state is published to admins and to the room of the locker's kiosk.

mod events;
mod locker;
pub mod mirror;
mod rows;

use wallcast_core::audit::{self, Actor};
use wallcast_core::ids::{KioskId, LockerId};
use wallcast_core::store::{StoreError, WriteTx};

pub use locker::{Locker, LockerState, LockerViewer};
pub use rows::{find, is_visible, page};

/// Fields to change; `None` keeps the old value.
#[derive(Clone, Debug, Default)]
pub struct LockerPatch {
    pub state: Option<LockerState>,
    pub kiosk_id: Option<KioskId>,
}

#[derive(Debug, thiserror::Error)]
pub enum LockerError {
    /// The id is taken.
    #[error("Locker {0} exists already; choose another id or change that locker")]
    Taken(LockerId),
    #[error("There is no such locker")]
    Unknown,
    /// Only Home Assistant changes a mirrored lock.
    #[error("This locker is a lock of Home Assistant: change it there")]
    Mirrored,
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<rusqlite::Error> for LockerError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Store(error.into())
    }
}

/// Creates a locker, without an event.
///
/// # Errors
/// [`LockerError::Taken`].
pub fn create(
    tx: &mut WriteTx<'_>,
    id: Option<LockerId>,
    kiosk_id: KioskId,
    state: LockerState,
    actor: &Actor,
) -> Result<Locker, LockerError> {
    let locker = Locker {
        id: id.unwrap_or_else(LockerId::random),
        kiosk_id,
        state,
        is_mirrored: false,
        created_at: tx.now(),
        updated_at: tx.now(),
    };
    if !rows::insert(tx.connection(), &locker)? {
        return Err(LockerError::Taken(locker.id));
    }
    let detail = locker.kiosk_id.as_str();
    audit::record(tx, actor, "locker.create", Some(locker.id.as_str()), detail)?;
    Ok(locker)
}

/// Changes a locker and publishes its new state, if the state changed.
///
/// # Errors
/// [`LockerError::Unknown`] and [`LockerError::Mirrored`].
pub fn change(
    tx: &mut WriteTx<'_>,
    id: &LockerId,
    patch: LockerPatch,
    actor: &Actor,
) -> Result<Locker, LockerError> {
    let before = find_local(tx, id)?;
    let mut locker = Locker {
        state: patch.state.unwrap_or_else(|| before.state.clone()),
        kiosk_id: patch.kiosk_id.unwrap_or_else(|| before.kiosk_id.clone()),
        ..before.clone()
    };
    let detail = locker.state.as_str();
    audit::record(tx, actor, "locker.change", Some(id.as_str()), detail)?;
    save_changes(tx, &before, &mut locker)?;
    Ok(locker)
}

/// Stores the difference between `before` and `locker`, and publishes a new state.
fn save_changes(
    tx: &mut WriteTx<'_>,
    before: &Locker,
    locker: &mut Locker,
) -> rusqlite::Result<()> {
    if locker == before {
        return Ok(());
    }
    locker.updated_at = tx.now();
    rows::update(tx.connection(), locker)?;
    if locker.state != before.state {
        tx.publish(events::state_changed(locker, &before.state, tx.now()))?;
    }
    Ok(())
}

/// Reads a locker that admins may change.
fn find_local(tx: &WriteTx<'_>, id: &LockerId) -> Result<Locker, LockerError> {
    match rows::find(tx.connection(), id)? {
        None => Err(LockerError::Unknown),
        Some(locker) if locker.is_mirrored => Err(LockerError::Mirrored),
        Some(locker) => Ok(locker),
    }
}

/// Deletes a locker, without an event.
///
/// # Errors
/// [`LockerError::Unknown`] and [`LockerError::Mirrored`].
pub fn delete(tx: &mut WriteTx<'_>, id: &LockerId, actor: &Actor) -> Result<(), LockerError> {
    let locker = find_local(tx, id)?;
    rows::delete(tx.connection(), &locker.id)?;
    audit::record(tx, actor, "locker.delete", Some(id.as_str()), "")?;
    Ok(())
}
