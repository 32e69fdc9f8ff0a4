//! Durable events as SQLite keeps them, and who listened on which topic when.
//!
//! The only giver of event ids. Memberships are intervals of event ids, so that a replay asks of
//! each past event who was to be told when it was committed (contract 4.4).

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
    MAX_ENDED_SESSIONS, close_room, close_room_of_all, end_cut_off_sessions, forget_rooms,
    is_anyone_in, open_room, rooms_of, set_session_end, take_over_rooms, was_any_session_cut_off,
};
pub use trim::trim;

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
        .prepare_cached(
            "INSERT INTO events (type, data, created_at, expires_at) VALUES (?1, ?2, ?3, ?4)",
        )?
        .execute(params![
            event.kind.as_str(),
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

/// The id from which on the history is complete; the next one to be given while nothing is kept.
/// What came after a position can be replayed if this is no later than the position's next id.
///
/// Ids have no gaps and [`trim`] takes the oldest alone, so the oldest event that is there says it.
///
/// # Errors
/// SQLite's.
pub fn oldest_id(connection: &Connection) -> rusqlite::Result<EventId> {
    let kept: Option<EventId> = connection
        .prepare_cached("SELECT min(id) FROM events")?
        .query_row([], |row| row.get(0))?;
    match kept {
        Some(id) => Ok(id),
        None => Ok(last_id(connection)?.next()),
    }
}
