//! Rooms inside a namespace (seeds 1 and 3): which a session may enter, and entering and leaving.
//!
//! A room is a topic that sessions listen on one by one. An area's room has the area's id as its
//! name; a kiosk's room the kiosk's id.

use rusqlite::Connection;
use serde_json::json;

use crate::areas::{self, Area};
use crate::auth::{Principal, Subject};
use crate::event::{Kind, Namespace, NewEvent, Topic};
use crate::hub::{RoomOf, Session};
use crate::ids::{AreaId, RoomName};
use crate::store::{Store, StoreError, WriteTx};
use crate::{auth, history};

/// Rooms that one session may be in.
pub const MAX_ROOMS: usize = 64;

/// A room as a peer names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RoomNamed {
    /// By name.
    Name(RoomName),
    /// By an area's integer id (seed 1).
    Number(i64),
}

/// Why a room was not entered.
#[derive(Debug, thiserror::Error)]
pub enum RoomError {
    /// It is not the principal's, or not there: nothing tells which.
    #[error("You may not enter this room")]
    Forbidden,
    /// The session is in [`MAX_ROOMS`] already.
    #[error("A session may be in 64 rooms; leave one first")]
    TooMany,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<rusqlite::Error> for RoomError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Store(error.into())
    }
}

/// What happened to an area, in seed 1's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RoomAction {
    /// It is new.
    Created,
    /// Name or entities changed.
    Updated,
    /// It is gone.
    Deleted,
}

impl RoomAction {
    /// The word on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Updated => "updated",
            Self::Deleted => "deleted",
        }
    }
}

/// Tells `room_updated` (seed 1): of a change whoever is in the area's room, which costs nothing
/// while nobody is; of a room that comes or goes every admin and whoever has the area.
///
/// # Errors
/// SQLite's.
pub fn tell(tx: &mut WriteTx<'_>, area: &Area, action: RoomAction) -> rusqlite::Result<()> {
    let topics = match action {
        RoomAction::Updated => match of_area(&area.id) {
            Some(room) if history::is_anyone_in(tx.connection(), &room)? => vec![room],
            _ => return Ok(()),
        },
        RoomAction::Created | RoomAction::Deleted => {
            vec![Topic::Area(area.id.clone()), Topic::Admins]
        }
    };
    let data = json!({
        "room_id": area.room_id,
        "room_name": area.name,
        "action": action.as_str(),
    });
    tx.publish(NewEvent::new(Kind::ROOM_UPDATED, &data, topics))?;
    Ok(())
}

/// Counts sessions that a kill cut off as ended now; writes only if there are any.
///
/// # Errors
/// The store's.
pub async fn end_cut_off_sessions(store: &Store) -> Result<(), StoreError> {
    let is_any = store
        .read(|db| Ok::<_, StoreError>(history::was_any_session_cut_off(db)?))
        .await?;
    if is_any {
        store
            .write(|tx| {
                history::end_cut_off_sessions(tx.connection(), tx.now())?;
                Ok::<_, StoreError>(())
            })
            .await?;
    }
    Ok(())
}

/// A principal loses a room with all its sessions, in every namespace.
pub fn expel(tx: &mut WriteTx<'_>, subject: &Subject, room: &str) {
    // What is no room's name was never entered.
    let Ok(name) = room.parse::<RoomName>() else {
        return;
    };
    for namespace in Namespace::ALL {
        tx.expel(subject.clone(), Topic::Room(namespace, name.clone()));
    }
}

fn of_area(area: &AreaId) -> Option<Topic> {
    let name = area.as_str().parse().ok()?;
    Some(Topic::Room(Namespace::Main, name))
}

/// Has a session enter a room of its namespace, if its principal may.
///
/// # Errors
/// [`RoomError`].
pub fn enter(
    tx: &mut WriteTx<'_>,
    session: &Session,
    principal: &Principal,
    room: &RoomNamed,
) -> Result<(), RoomError> {
    let db = tx.connection();
    let name = resolve(db, room)?.ok_or(RoomError::Forbidden)?;
    if !auth::entitlement::may_enter(db, principal, &name)? {
        return Err(RoomError::Forbidden);
    }
    let topic = Topic::Room(session.namespace(), name);
    let rooms = history::rooms_of(db, session.id(), tx.last_event())?;
    let mut open = rooms.iter().filter(|span| span.is_open());
    if open.clone().any(|span| span.topic == topic) {
        return Ok(());
    }
    if open.nth(MAX_ROOMS - 1).is_some() {
        return Err(RoomError::TooMany);
    }
    tx.enter_room(RoomOf::new(session, topic));
    Ok(())
}

/// Has a session leave a room of its namespace; one in which it is not is left already.
///
/// # Errors
/// [`RoomError::Store`].
pub fn leave(tx: &mut WriteTx<'_>, session: &Session, room: &RoomNamed) -> Result<(), RoomError> {
    if let Some(name) = resolve(tx.connection(), room)? {
        let topic = Topic::Room(session.namespace(), name);
        tx.leave_room(RoomOf::new(session, topic));
    }
    Ok(())
}

fn resolve(db: &Connection, room: &RoomNamed) -> rusqlite::Result<Option<RoomName>> {
    match room {
        RoomNamed::Name(name) => Ok(Some(name.clone())),
        RoomNamed::Number(number) => {
            let area: Option<Area> = areas::find_by_room(db, *number)?;
            Ok(area.and_then(|area| area.id.as_str().parse().ok()))
        }
    }
}
