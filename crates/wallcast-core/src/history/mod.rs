//! The durable events in SQLite, and which principal or session was subscribed to which topic at which event.
//!
//! Only this module assigns event ids. Subscriptions are stored as intervals of event ids, so that a replay finds for
//! each past event who was entitled to it when it was committed (`docs/protocol.md#replay`).

mod membership;
mod replay;
mod rooms;
#[cfg(test)]
mod tests;
mod trim;

use rusqlite::{Connection, params};

pub use membership::{Span, close_membership, open_membership, spans_of};
pub use replay::{Backlog, MAX_BACKLOG, Page, backlog, replay};
pub use rooms::{
    MAX_ENDED_SESSIONS, close_room, close_room_of_all, delete_old_rooms, end_interrupted_sessions,
    has_interrupted_sessions, has_members, open_room, rooms_of, set_session_end, take_over_rooms,
};
pub use trim::trim;

use crate::clock::Timestamp;
use crate::event::{EventId, NewEvent};

/// Inserts the event and its topics, and returns its id. Ids rise by one with each committed event.
///
/// # Errors
/// If the database fails.
pub fn append(
    connection: &Connection,
    event: &NewEvent,
    at: Timestamp,
) -> rusqlite::Result<EventId> {
    connection
        .prepare_cached(
            "INSERT INTO events (type, data, created_at, expires_at) VALUES (?1, ?2, ?3, ?4)",
        )?
        .execute(params![
            event.event_type.as_str(),
            event.data,
            at,
            event.expires_at
        ])?;
    let id = EventId::new(connection.last_insert_rowid());
    let mut insert = connection
        .prepare_cached("INSERT OR IGNORE INTO event_topics (topic, event_id) VALUES (?1, ?2)")?;
    for topic in &event.topics {
        insert.execute(params![topic.to_string(), id])?;
    }
    Ok(id)
}

/// The last id that was assigned, even if that event was deleted since; 0 if none was.
///
/// # Errors
/// If the database fails.
pub fn last_id(connection: &Connection) -> rusqlite::Result<EventId> {
    connection.query_row(
        "SELECT coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'events'), 0)",
        [],
        |row| row.get(0),
    )
}

/// The first id from which the history is complete. While the history is empty, it is the id that comes next.
/// A position can be replayed if the id after it is not older than this.
///
/// Ids have no gaps and [`trim`] deletes from the old end only, so this is the id of the oldest stored event.
///
/// # Errors
/// If the database fails.
pub fn oldest_id(connection: &Connection) -> rusqlite::Result<EventId> {
    let kept: Option<EventId> = connection
        .prepare_cached("SELECT min(id) FROM events")?
        .query_row([], |row| row.get(0))?;
    match kept {
        Some(id) => Ok(id),
        None => Ok(last_id(connection)?.next()),
    }
}
