//! Durable events as SQLite keeps them, and who listened on which topic when.
//!
//! The only giver of event ids. Memberships are intervals of event ids, so that a replay asks of
//! each past event who was to be told when it was committed (contract 4.4).

mod membership;
mod replay;
mod rooms;
#[cfg(test)]
mod tests;

use rusqlite::{Connection, params};

pub use membership::{Span, close_membership, open_membership, spans_of};
pub use replay::{Backlog, MAX_BACKLOG, Page, backlog, replay};
pub use rooms::{
    close_room, close_room_of_all, end_cut_off_sessions, forget_rooms, is_anyone_in, open_room,
    rooms_of, set_session_end, was_any_session_cut_off,
};

use crate::clock::Timestamp;
use crate::event::{EventId, NewEvent};

/// Writes the event and its topics; ids rise by one with each append that is kept.
///
/// # Errors
/// SQLite's.
pub fn append(
    connection: &Connection,
    event: &NewEvent,
    at: Timestamp,
) -> rusqlite::Result<EventId> {
    connection
        .prepare_cached("INSERT INTO events (type, data, created_at) VALUES (?1, ?2, ?3)")?
        .execute(params![event.kind.as_str(), event.data, at])?;
    let id = EventId::new(connection.last_insert_rowid());
    let mut insert = connection
        .prepare_cached("INSERT OR IGNORE INTO event_topics (topic, event_id) VALUES (?1, ?2)")?;
    for topic in &event.topics {
        insert.execute(params![topic.to_string(), id])?;
    }
    Ok(id)
}

/// The newest id ever given, also when its event was since dropped.
///
/// # Errors
/// SQLite's.
pub fn last_id(connection: &Connection) -> rusqlite::Result<EventId> {
    connection.query_row(
        "SELECT coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'events'), 0)",
        [],
        |row| row.get(0),
    )
}

/// The oldest event that is kept; the one to come if none is.
///
/// # Errors
/// SQLite's.
pub fn oldest_id(connection: &Connection) -> rusqlite::Result<EventId> {
    let oldest: Option<EventId> =
        connection.query_row("SELECT min(id) FROM events", [], |row| row.get(0))?;
    oldest.map_or_else(|| Ok(last_id(connection)?.next()), Ok)
}
