//! Lockers of kiosks (seed 3), and the event that tells of a new state.

mod events;
pub mod mirror;
mod rows;

use crate::text::Line;
use wallcast_core::audit::{self, Actor};
use wallcast_core::clock::Timestamp;
use wallcast_core::ids::{KioskId, LockerId};
use wallcast_core::store::{StoreError, WriteTx};

pub use rows::{Of, find, page, sees};

/// What a locker says of itself, such as `open` or `closed`.
pub type State = Line<64>;

/// A locker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Locker {
    /// Its id.
    pub id: LockerId,
    /// Where it stands.
    pub kiosk_id: KioskId,
    /// Its state.
    pub state: State,
    /// Whether it is a lock of Home Assistant's, which alone says where and how it is.
    pub is_mirrored: bool,
    /// When it was made known.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
}

/// What is to change; what is left out stays.
#[derive(Clone, Debug, Default)]
pub struct LockerPatch {
    /// A new state.
    pub state: Option<State>,
    /// Another kiosk.
    pub kiosk_id: Option<KioskId>,
}

/// Why a locker was not made.
#[derive(Debug, thiserror::Error)]
pub enum LockerError {
    /// Its id is another's.
    #[error("There is a locker {0} already; choose another id or change that one")]
    Taken(LockerId),
    /// There is no such locker.
    #[error("There is no such locker")]
    Unknown,
    /// It is a lock of Home Assistant's.
    #[error("This locker is a lock of Home Assistant's: change it there")]
    Mirrored,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<rusqlite::Error> for LockerError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Store(error.into())
    }
}

/// Makes a locker known. Tells nobody: its state did not change.
///
/// # Errors
/// [`LockerError`].
pub fn create(
    tx: &mut WriteTx<'_>,
    id: Option<LockerId>,
    kiosk_id: KioskId,
    state: State,
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
    let at = locker.kiosk_id.as_str();
    audit::record(tx, actor, "locker.create", Some(locker.id.as_str()), at)?;
    Ok(locker)
}

/// Changes a locker and tells of a new state; a change that changes nothing tells nothing.
///
/// # Errors
/// [`LockerError`].
pub fn change(
    tx: &mut WriteTx<'_>,
    id: &LockerId,
    patch: LockerPatch,
    actor: &Actor,
) -> Result<Locker, LockerError> {
    let before = own(tx, id)?;
    let mut locker = Locker {
        state: patch.state.unwrap_or_else(|| before.state.clone()),
        kiosk_id: patch.kiosk_id.unwrap_or_else(|| before.kiosk_id.clone()),
        ..before.clone()
    };
    let detail = locker.state.as_str();
    audit::record(tx, actor, "locker.change", Some(id.as_str()), detail)?;
    keep(tx, &before, &mut locker)?;
    Ok(locker)
}

/// Stores what changed of a locker, and tells a new state.
fn keep(tx: &mut WriteTx<'_>, before: &Locker, locker: &mut Locker) -> rusqlite::Result<()> {
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

/// A locker that is not Home Assistant's.
fn own(tx: &WriteTx<'_>, id: &LockerId) -> Result<Locker, LockerError> {
    match rows::find(tx.connection(), id)? {
        None => Err(LockerError::Unknown),
        Some(locker) if locker.is_mirrored => Err(LockerError::Mirrored),
        Some(locker) => Ok(locker),
    }
}

/// Forgets a locker and tells nobody.
///
/// # Errors
/// [`LockerError`].
pub fn delete(tx: &mut WriteTx<'_>, id: &LockerId, actor: &Actor) -> Result<(), LockerError> {
    let locker = own(tx, id)?;
    rows::delete(tx.connection(), &locker.id)?;
    audit::record(tx, actor, "locker.delete", Some(id.as_str()), "")?;
    Ok(())
}
