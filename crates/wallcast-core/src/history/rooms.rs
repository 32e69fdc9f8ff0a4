//! Which rooms each session was in, as intervals of event ids, stored by connection id.

use rusqlite::{Connection, params};

use super::membership::read_spans;
use super::{Span, oldest_id};
use crate::auth::Subject;
use crate::clock::Timestamp;
use crate::event::{EventId, Topic};
use crate::ids::ConnectionId;

/// How many ended sessions with rooms are kept per principal.
pub const MAX_ENDED_SESSIONS: usize = 64;

/// Starts the interval in which a session receives a room's events, with `from` as the first event.
/// Does nothing if the session is in the room. Deletes the rooms of the principal's oldest ended sessions beyond
/// [`MAX_ENDED_SESSIONS`].
///
/// # Errors
/// If the database fails.
pub fn open_room(
    connection: &Connection,
    session: &ConnectionId,
    subject: &Subject,
    room: &Topic,
    from: EventId,
) -> rusqlite::Result<()> {
    connection
        .prepare_cached(
            "INSERT INTO session_rooms (session, subject, topic, from_event)
             SELECT ?1, ?2, ?3, ?4
             WHERE NOT EXISTS (SELECT 1 FROM session_rooms
                               WHERE session = ?1 AND topic = ?3 AND until_event IS NULL)
             ON CONFLICT (session, topic, from_event) DO UPDATE SET until_event = NULL",
        )?
        .execute(params![
            session,
            subject.to_string(),
            room.to_string(),
            from
        ])?;
    delete_oldest_sessions(connection, subject)
}

/// Bounds the table: a principal may open any number of sessions, but only the latest ended ones keep their rooms.
fn delete_oldest_sessions(connection: &Connection, subject: &Subject) -> rusqlite::Result<()> {
    let most = i64::try_from(MAX_ENDED_SESSIONS).unwrap_or(i64::MAX);
    connection
        .prepare_cached(
            "DELETE FROM session_rooms WHERE subject = ?1 AND session IN (
                 SELECT session FROM session_rooms WHERE subject = ?1 AND ended_at IS NOT NULL
                 GROUP BY session ORDER BY max(ended_at) DESC LIMIT -1 OFFSET ?2)",
        )?
        .execute(params![subject.to_string(), most])?;
    Ok(())
}

/// Ends the open interval of a session in a room, with `until` as the last event that it receives there.
///
/// # Errors
/// If the database fails.
pub fn close_room(
    connection: &Connection,
    session: &ConnectionId,
    room: &Topic,
    until: EventId,
) -> rusqlite::Result<()> {
    connection
        .prepare_cached(
            "UPDATE session_rooms SET until_event = ?3
             WHERE session = ?1 AND topic = ?2 AND until_event IS NULL",
        )?
        .execute(params![session, room.to_string(), until])?;
    Ok(())
}

/// Ends the open intervals of all sessions of a principal in a room, including disconnected sessions.
///
/// # Errors
/// If the database fails.
pub fn close_room_of_all(
    connection: &Connection,
    subject: &Subject,
    room: &Topic,
    until: EventId,
) -> rusqlite::Result<()> {
    connection
        .prepare_cached(
            "UPDATE session_rooms SET until_event = ?3
             WHERE subject = ?1 AND topic = ?2 AND until_event IS NULL",
        )?
        .execute(params![subject.to_string(), room.to_string(), until])?;
    Ok(())
}

/// Moves the room intervals of session `old` to session `new` of the same principal.
///
/// # Errors
/// If the database fails.
pub fn take_over_rooms(
    connection: &Connection,
    subject: &Subject,
    old: &ConnectionId,
    new: &ConnectionId,
) -> rusqlite::Result<()> {
    connection
        .prepare_cached(
            "UPDATE OR IGNORE session_rooms SET session = ?3, ended_at = NULL
             WHERE session = ?2 AND subject = ?1",
        )?
        .execute(params![subject.to_string(), old, new])?;
    Ok(())
}

/// Whether any session is in the room, including disconnected sessions.
///
/// # Errors
/// If the database fails.
pub fn has_members(connection: &Connection, room: &Topic) -> rusqlite::Result<bool> {
    connection
        .prepare_cached("SELECT 1 FROM session_rooms WHERE topic = ?1 AND until_event IS NULL")?
        .exists([room.to_string()])
}

/// The session's room intervals that are open or ended after `since`.
///
/// # Errors
/// If the database fails.
pub fn rooms_of(
    connection: &Connection,
    session: &ConnectionId,
    since: EventId,
) -> rusqlite::Result<Vec<Span>> {
    let mut query = connection.prepare_cached(
        "SELECT topic, from_event, until_event FROM session_rooms
         WHERE session = ?1 AND (until_event IS NULL OR until_event > ?2)",
    )?;
    read_spans(&mut query, params![session, since])
}

/// Stores when a session with rooms ended; `None` if it is open again. Writes only rows that change.
///
/// # Errors
/// If the database fails.
pub fn set_session_end(
    connection: &Connection,
    session: &ConnectionId,
    at: Option<Timestamp>,
) -> rusqlite::Result<()> {
    connection
        .prepare_cached(
            "UPDATE session_rooms SET ended_at = ?2
             WHERE session = ?1 AND (ended_at IS NULL) <> (?2 IS NULL)",
        )?
        .execute(params![session, at])?;
    Ok(())
}

/// Whether sessions with rooms are stored as open. At the daemon's start these were interrupted by a crash.
///
/// # Errors
/// If the database fails.
pub fn has_interrupted_sessions(connection: &Connection) -> rusqlite::Result<bool> {
    connection
        .prepare_cached("SELECT 1 FROM session_rooms WHERE ended_at IS NULL")?
        .exists([])
}

/// Stores `now` as the end of sessions that a crash interrupted. Call at the daemon's start only.
///
/// # Errors
/// If the database fails.
pub fn end_interrupted_sessions(connection: &Connection, now: Timestamp) -> rusqlite::Result<()> {
    connection.execute(
        "UPDATE session_rooms SET ended_at = ?1 WHERE ended_at IS NULL",
        [now],
    )?;
    Ok(())
}

/// Deletes at most `at_most` room intervals that ended before the oldest stored event or belong to sessions that ended
/// before `time`. Returns how many were deleted.
///
/// # Errors
/// If the database fails.
pub fn delete_old_rooms(
    connection: &Connection,
    time: Timestamp,
    at_most: usize,
) -> rusqlite::Result<usize> {
    let oldest = oldest_id(connection)?;
    let at_most = i64::try_from(at_most).unwrap_or(i64::MAX);
    connection
        .prepare_cached(
            "DELETE FROM session_rooms WHERE (session, topic, from_event) IN (
                 SELECT session, topic, from_event FROM session_rooms
                 WHERE until_event < ?1 OR ended_at < ?2 LIMIT ?3)",
        )?
        .execute(params![oldest, time, at_most])
}
