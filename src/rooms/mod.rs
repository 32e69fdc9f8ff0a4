//! Rooms: topics that a session joins and leaves by request (`docs/protocol.md#rooms`).
//!
//! An area's room is named after the area's id, a kiosk's room after the kiosk's id. Admins may join any room, a
//! client those of its areas and its kiosk. Areas and clients call this module when a client loses one of them; it
//! must not import them.

mod rows;

use std::sync::Arc;

use rusqlite::Connection;
use wallcast_core::auth::Subject;
use wallcast_core::event::{Namespace, Topic};
use wallcast_core::history::{self, Span};
use wallcast_core::hub::{Hub, Session};
use wallcast_core::ids::{ConnectionId, RoomName};
use wallcast_core::store::{Store, StoreError, WriteTx};

use crate::access::entitlement;
use crate::http::{FromField, from_text};

pub use rows::area_by_number;

/// The most rooms that one session may be in.
pub const MAX_ROOMS: usize = 64;

/// A room as a client's message or an API request refers to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RoomRef {
    Name(RoomName),
    /// An area's integer id.
    Number(i64),
}

#[derive(Debug, thiserror::Error)]
pub enum RoomError {
    /// The principal may not join the room, or the room does not exist. The error does not say which, so that
    /// nobody can probe for rooms.
    #[error("You may not join this room")]
    Forbidden,
    /// The session is in [`MAX_ROOMS`] already.
    #[error("A session may be in 64 rooms; leave one first")]
    TooMany,
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<rusqlite::Error> for RoomError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Store(error.into())
    }
}

/// Stores whether a session with rooms is open or when it ended. The writer thread asks the hub for the current state,
/// so it does not matter in which order the end of a session and its recovery are recorded.
pub async fn record_session_state(store: Store, hub: Arc<Hub>, id: ConnectionId) {
    let written = store.write(move |tx| {
        let ended = hub.session(&id).is_none().then(|| tx.now());
        history::set_session_end(tx.connection(), &id, ended)?;
        Ok::<_, StoreError>(())
    });
    if let Err(error) = written.await {
        // The next start marks the session as ended.
        tracing::debug!(%error, "cannot store the state of a session with rooms");
    }
}

/// Marks sessions that were open when the process was killed as ended now. Without any it writes nothing.
pub async fn end_interrupted_sessions(store: &Store) -> Result<(), StoreError> {
    let is_any = store
        .read(|db| Ok::<_, StoreError>(history::has_interrupted_sessions(db)?))
        .await?;
    if is_any {
        store
            .write(|tx| {
                history::end_interrupted_sessions(tx.connection(), tx.now())?;
                Ok::<_, StoreError>(())
            })
            .await?;
    }
    Ok(())
}

/// Removes all sessions of a principal from a room, in every namespace, if it may no longer join it: an area's id can
/// also be the client's kiosk. The caller must have written the change to assignments or kiosk before.
pub fn expel(tx: &mut WriteTx<'_>, subject: &Subject, room: &str) -> rusqlite::Result<()> {
    // Nobody can have joined a room whose name is not valid.
    let Ok(name) = room.parse::<RoomName>() else {
        return Ok(());
    };
    if !may_join(tx.connection(), subject, &name)? {
        for namespace in Namespace::ALL {
            tx.expel(subject.clone(), Topic::Room(namespace, name.clone()));
        }
    }
    Ok(())
}

/// Joins a session to a room of its namespace. A session that is in the room already stays in it.
///
/// # Errors
/// [`RoomError::Forbidden`] and [`RoomError::TooMany`].
pub fn join(tx: &mut WriteTx<'_>, session: &Session, room: &RoomRef) -> Result<(), RoomError> {
    let db = tx.connection();
    let name = resolve(db, room)?.ok_or(RoomError::Forbidden)?;
    if !may_join(db, session.subject(), &name)? {
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

/// Removes a session from a room of its namespace. It succeeds also if the session is not in the room.
pub fn leave(tx: &mut WriteTx<'_>, session: &Session, room: &RoomRef) -> Result<(), RoomError> {
    if let Some(name) = resolve(tx.connection(), room)? {
        let topic = Topic::Room(session.namespace(), name);
        tx.leave_room(session.in_room(topic));
    }
    Ok(())
}

/// Moves the rooms of an earlier session of the same principal to `session`, as `resume` does. The session's history
/// then includes the events published to those rooms in between.
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

fn resolve(db: &Connection, room: &RoomRef) -> rusqlite::Result<Option<RoomName>> {
    match room {
        RoomRef::Name(name) => Ok(Some(name.clone())),
        RoomRef::Number(number) => {
            let area = area_by_number(db, *number)?;
            Ok(area.and_then(|id| id.as_str().parse().ok()))
        }
    }
}

impl FromField for RoomRef {
    fn from_field(value: serde_json::Value) -> Result<Self, String> {
        match value.as_i64() {
            Some(number) => Ok(Self::Number(number)),
            None => from_text(value).map(Self::Name),
        }
    }
}

/// Whether `subject` may join a room: an admin any, a client those of its areas and its kiosk, others none.
pub fn may_join(
    connection: &Connection,
    subject: &Subject,
    room: &RoomName,
) -> rusqlite::Result<bool> {
    match subject {
        Subject::Admin(_) => Ok(true),
        Subject::Client(id) => rows::is_room_of_client(connection, room, id),
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
    async fn late_end_of_recovered_session_keeps_it_open() {
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
        let record_state =
            || record_session_state(store.clone(), hub.clone(), "conn_1".parse().unwrap());

        let first = open();
        let joining = first.clone();
        let joined =
            store.write(move |tx| join(tx, &joining, &RoomRef::Name("any".parse().unwrap())));
        joined.await.unwrap();
        assert!(hub.is_in_rooms(&first) && !has_ended(&store).await);

        hub.unregister(&first);
        record_state().await;
        assert!(has_ended(&store).await);
        let again = open();
        record_state().await;
        assert!(!has_ended(&store).await, "the session is open again");
        record_state().await;
        assert!(
            !has_ended(&store).await,
            "the first session's end is recorded late"
        );
        hub.unregister(&again);
        record_state().await;
        assert!(has_ended(&store).await);
        let spans = store.read(|db| {
            let id = "conn_1".parse().unwrap();
            Ok::<_, StoreError>(history::rooms_of(db, &id, EventId::default())?)
        });
        assert_eq!(spans.await.unwrap().len(), 1);
    }
}
