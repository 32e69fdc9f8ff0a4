//! Rooms inside a namespace (seeds 1 and 3): which a session may enter, and entering and leaving.
//!
//! A room is a topic that sessions listen on one by one. An area's room has the area's id as its
//! name; a kiosk's room the kiosk's id.

use std::sync::Arc;

use rusqlite::Connection;
use serde_json::json;

use crate::access::entitlement;
use crate::areas::{self, Area};
use crate::clients::{self, Client};
use crate::http::{FromField, from_text};
use wallcast_core::auth::Subject;
use wallcast_core::event::{EventType, Namespace, NewEvent, Topic};
use wallcast_core::history::{self, Span};
use wallcast_core::hub::{Hub, Session};
use wallcast_core::ids::{ConnectionId, RoomName};
use wallcast_core::store::{Store, StoreError, WriteTx};

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
        RoomAction::Updated => match Topic::room(Namespace::Main, area.id.as_str()) {
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
    tx.publish(NewEvent::new(EventType::ROOM_UPDATED, &data, topics))?;
    Ok(())
}

/// Remembers of a session with rooms whether it is open or when it ended. Asks the hub on the
/// writer's thread, so that an end and a recovery may be noted in either order.
pub async fn note_session(store: Store, hub: Arc<Hub>, id: ConnectionId) {
    let noted = store.write(move |tx| {
        let ended = hub.session(&id).is_none().then(|| tx.now());
        history::set_session_end(tx.connection(), &id, ended)?;
        Ok::<_, StoreError>(())
    });
    if let Err(error) = noted.await {
        // The next start counts it as ended.
        tracing::debug!(%error, "whether a session with rooms is open was not stored");
    }
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

/// A principal loses a room with all its sessions, in every namespace, unless it may still enter it
/// for another reason: an area may be its kiosk as well. Call after the change.
///
/// # Errors
/// SQLite's.
pub fn expel(tx: &mut WriteTx<'_>, subject: &Subject, room: &str) -> rusqlite::Result<()> {
    // What is no room's name was never entered.
    let Ok(name) = room.parse::<RoomName>() else {
        return Ok(());
    };
    if !may_enter(tx.connection(), subject, &name)? {
        for namespace in Namespace::ALL {
            tx.expel(subject.clone(), Topic::Room(namespace, name.clone()));
        }
    }
    Ok(())
}

/// Has a session enter a room of its namespace, if its principal may.
///
/// # Errors
/// [`RoomError`].
pub fn enter(tx: &mut WriteTx<'_>, session: &Session, room: &RoomNamed) -> Result<(), RoomError> {
    let db = tx.connection();
    let name = resolve(db, room)?.ok_or(RoomError::Forbidden)?;
    if !may_enter(db, session.subject(), &name)? {
        return Err(RoomError::Forbidden);
    }
    let topic = Topic::Room(session.namespace(), name);
    let rooms = entitlement::rooms(db, session.id(), tx.last_event())?;
    let mut open = rooms.iter().filter(|span| span.is_open());
    if open.clone().any(|span| span.topic == topic) {
        return Ok(());
    }
    if open.nth(MAX_ROOMS - 1).is_some() {
        return Err(RoomError::TooMany);
    }
    tx.enter_room(session.in_room(topic));
    Ok(())
}

/// Has a session leave a room of its namespace; one in which it is not is left already.
///
/// # Errors
/// [`RoomError::Store`].
pub fn leave(tx: &mut WriteTx<'_>, session: &Session, room: &RoomNamed) -> Result<(), RoomError> {
    if let Some(name) = resolve(tx.connection(), room)? {
        let topic = Topic::Room(session.namespace(), name);
        tx.leave_room(session.in_room(topic));
    }
    Ok(())
}

/// Has a session take over the rooms of an old one of the same principal, as in `resume`: it hears
/// what was told there meanwhile, and what comes.
///
/// # Errors
/// The store's.
pub fn take_over(
    tx: &mut WriteTx<'_>,
    session: &Session,
    old: &ConnectionId,
) -> Result<(), StoreError> {
    history::take_over_rooms(tx.connection(), session.subject(), old, session.id())?;
    let rooms = entitlement::rooms(tx.connection(), session.id(), tx.last_event())?;
    for room in rooms.into_iter().filter(Span::is_open) {
        tx.enter_room(session.in_room(room.topic));
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

impl FromField for RoomNamed {
    fn from_field(value: serde_json::Value) -> Result<Self, String> {
        match value.as_i64() {
            Some(number) => Ok(Self::Number(number)),
            None => from_text(value).map(Self::Name),
        }
    }
}

/// Whether `subject` may enter a room (contract 4.5): an admin any, a client those of its areas
/// and its kiosk's.
///
/// # Errors
/// SQLite's.
pub fn may_enter(
    connection: &Connection,
    subject: &Subject,
    room: &RoomName,
) -> rusqlite::Result<bool> {
    match subject {
        Subject::Admin(_) => Ok(true),
        Subject::Client(id) => {
            let has_area = match room.as_str().parse() {
                Ok(area) => areas::is_assigned(connection, &area, id)?,
                Err(_) => false,
            };
            let is_own = |client: Client| client.kiosk().as_str() == room.as_str();
            Ok(has_area || clients::find(connection, id)?.is_some_and(is_own))
        }
        Subject::User(_) | Subject::Pairing(_) => Ok(false),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use wallcast_core::auth::Principal;
    use wallcast_core::event::EventId;
    use wallcast_core::hub::{ConnectionWriter, Dialect};
    use wallcast_core::ids::UserId;
    use wallcast_core::store::DataFolder;

    /// Whether the session counts as ended.
    async fn has_ended(store: &Store) -> bool {
        let read = store.read(|db| {
            let ended: bool = db.query_row(
                "SELECT ended_at IS NOT NULL FROM session_rooms",
                [],
                |row| row.get(0),
            )?;
            Ok::<_, StoreError>(ended)
        });
        read.await.unwrap()
    }

    #[tokio::test]
    async fn a_session_that_came_back_counts_as_open_however_late_its_end_is_noted() {
        let folder = tempfile::tempdir().unwrap();
        let held = DataFolder::claim(folder.path()).unwrap();
        let hub = Arc::new(Hub::new());
        let store = Store::open(&held, hub.clone()).unwrap();
        let open = || {
            let session = Arc::new(Session::new(
                "conn_1".parse().unwrap(),
                Principal::local_admin(UserId::random()),
                Namespace::Main,
                Dialect::Json,
                None,
                Arc::<ConnectionWriter<()>>::default(),
            ));
            hub.register(session.clone(), &[], &[], usize::MAX);
            session
        };
        let note = || note_session(store.clone(), hub.clone(), "conn_1".parse().unwrap());

        let first = open();
        let entering = first.clone();
        let entered =
            store.write(move |tx| enter(tx, &entering, &RoomNamed::Name("any".parse().unwrap())));
        entered.await.unwrap();
        assert!(hub.is_in_rooms(&first) && !has_ended(&store).await);

        hub.unregister(&first);
        note().await;
        assert!(has_ended(&store).await);
        let again = open();
        note().await;
        assert!(!has_ended(&store).await, "it is open again");
        note().await;
        assert!(!has_ended(&store).await, "the old end comes late");
        hub.unregister(&again);
        note().await;
        assert!(has_ended(&store).await);
        let spans = store.read(|db| {
            let id = "conn_1".parse().unwrap();
            Ok::<_, StoreError>(history::rooms_of(db, &id, EventId::default())?)
        });
        assert_eq!(spans.await.unwrap().len(), 1);
    }
}
