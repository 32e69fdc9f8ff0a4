//! Lockers of kiosks (seed 3), and the event that tells of a new state. A lock of a mirrored area is
//! one too, with the area as its kiosk (contract 6.5); its state is Home Assistant's alone.

mod events;
pub mod routes;
mod rows;

use crate::areas::EntityId;
use crate::audit::{self, Actor};
use crate::clock::Timestamp;
use crate::ids::{KioskId, LockerId};
use crate::store::{StoreError, WriteTx};
use crate::text::Line;

pub use rows::{Of, find, is_of, page};

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
    /// When it was made known.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
    /// Whether it is a lock of Home Assistant's.
    pub is_mirrored: bool,
}

/// What is to change; what is left out stays.
#[derive(Clone, Debug, Default)]
pub struct LockerPatch {
    /// A new state.
    pub state: Option<State>,
    /// Another kiosk.
    pub kiosk_id: Option<KioskId>,
}

/// Why a locker was not made or changed.
#[derive(Debug, thiserror::Error)]
pub enum LockerError {
    /// Its id is another's.
    #[error("There is a locker {0} already; choose another id or change that one")]
    Taken(LockerId),
    /// It is a lock of Home Assistant's.
    #[error("{0} is a lock of Home Assistant; its state and area are changed there")]
    Mirrored(LockerId),
    /// Its id would be that of a lock of Home Assistant's.
    #[error("lock.… is how Home Assistant calls its locks; choose another id")]
    Reserved,
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
    if id.as_ref().is_some_and(|id| lock(id).is_some()) {
        return Err(LockerError::Reserved);
    }
    let locker = Locker {
        id: id.unwrap_or_else(LockerId::random),
        kiosk_id,
        state,
        created_at: tx.now(),
        updated_at: tx.now(),
        is_mirrored: false,
    };
    if !rows::insert(tx.connection(), &locker)? {
        return Err(LockerError::Taken(locker.id));
    }
    let at = locker.kiosk_id.as_str();
    audit::record(tx, actor, "locker.create", Some(locker.id.as_str()), at)?;
    Ok(locker)
}

/// Changes a locker and tells of a new state; a change that changes nothing tells nothing. None
/// when there is no such locker.
///
/// # Errors
/// [`LockerError::Mirrored`], or the store's.
pub fn change(
    tx: &mut WriteTx<'_>,
    id: &LockerId,
    patch: LockerPatch,
    actor: &Actor,
) -> Result<Option<Locker>, LockerError> {
    let Some(before) = rows::find(tx.connection(), id)? else {
        return Ok(None);
    };
    if before.is_mirrored {
        return Err(LockerError::Mirrored(before.id));
    }
    let mut locker = Locker {
        state: patch.state.unwrap_or_else(|| before.state.clone()),
        kiosk_id: patch.kiosk_id.unwrap_or_else(|| before.kiosk_id.clone()),
        ..before.clone()
    };
    let detail = locker.state.as_str();
    audit::record(tx, actor, "locker.change", Some(id.as_str()), detail)?;
    if locker == before {
        return Ok(Some(locker));
    }
    locker.updated_at = tx.now();
    rows::update(tx.connection(), &locker)?;
    if locker.state != before.state {
        tx.publish(events::state_changed(&locker, &before.state, tx.now()))?;
    }
    Ok(Some(locker))
}

/// Forgets a locker and tells nobody. False when there is none.
///
/// # Errors
/// [`LockerError::Mirrored`], or the store's.
pub fn delete(tx: &mut WriteTx<'_>, id: &LockerId, actor: &Actor) -> Result<bool, LockerError> {
    if rows::find(tx.connection(), id)?.is_some_and(|locker| locker.is_mirrored) {
        return Err(LockerError::Mirrored(id.clone()));
    }
    let was_there = rows::delete(tx.connection(), id)?;
    if was_there {
        audit::record(tx, actor, "locker.delete", Some(id.as_str()), "")?;
    }
    Ok(was_there)
}

/// Home Assistant told the state of a lock: tells of a new one if an enabled mirrored area holds it. The
/// first that is ever heard tells nothing, as when a locker is made.
///
/// # Errors
/// SQLite's.
pub fn hear(tx: &mut WriteTx<'_>, entity: &EntityId, state: &State) -> rusqlite::Result<()> {
    let Ok(id) = entity.as_str().parse() else {
        return Ok(());
    };
    let Some(locker) = rows::find(tx.connection(), &id)?.filter(|of| of.is_mirrored) else {
        return Ok(());
    };
    let before = rows::heard(tx.connection(), entity)?;
    if before.as_ref() == Some(state) {
        return Ok(());
    }
    rows::keep_heard(tx.connection(), entity, state, tx.now())?;
    if let Some(before) = before {
        let locker = Locker {
            state: state.clone(),
            ..locker
        };
        tx.publish(events::state_changed(&locker, &before, tx.now()))?;
    }
    Ok(())
}

/// The lock that an id names, if it is one's.
fn lock(id: &LockerId) -> Option<EntityId> {
    let entity: EntityId = id.as_str().parse().ok()?;
    (entity.domain() == "lock").then_some(entity)
}
