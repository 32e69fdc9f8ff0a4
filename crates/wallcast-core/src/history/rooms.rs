//! Which rooms each session was in, as intervals of event ids, kept under its connection id.

use rusqlite::{Connection, params};

use super::membership::read_spans;
use super::{Span, oldest_id};
use crate::auth::Subject;
use crate::clock::Timestamp;
use crate::event::{EventId, Topic};
use crate::ids::ConnectionId;

/// Sessions with rooms of one principal that are remembered after they ended.
pub const MAX_ENDED_SESSIONS: usize = 64;

/// A session enters a room: it hears the room's events from this one on.
///
/// # Errors
/// SQLite's.
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
    forget_oldest_sessions(connection, subject)
}

/// A principal may open sessions without end; only the last ones that ended keep their rooms.
fn forget_oldest_sessions(connection: &Connection, subject: &Subject) -> rusqlite::Result<()> {
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

/// A session leaves a room: this event is the last one that it hears there.
///
/// # Errors
/// SQLite's.
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

/// Every session of a principal leaves a room, those that are away too.
///
/// # Errors
/// SQLite's.
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

/// Has one session of a principal take over the rooms of another, intervals and all.
///
/// # Errors
/// SQLite's.
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

/// Whether any session is in the room, those that are away included.
///
/// # Errors
/// SQLite's.
pub fn is_anyone_in(connection: &Connection, room: &Topic) -> rusqlite::Result<bool> {
    connection
        .prepare_cached("SELECT 1 FROM session_rooms WHERE topic = ?1 AND until_event IS NULL")?
        .exists([room.to_string()])
}

/// Every interval of a session that is not over before `since`.
///
/// # Errors
/// SQLite's.
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

/// Remembers when a session with rooms ended, or that it is open again. Writes only what changes.
///
/// # Errors
/// SQLite's.
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

/// Whether a kill cut off any session with rooms, for the daemon's start.
///
/// # Errors
/// SQLite's.
pub fn was_any_session_cut_off(connection: &Connection) -> rusqlite::Result<bool> {
    connection
        .prepare_cached("SELECT 1 FROM session_rooms WHERE ended_at IS NULL")?
        .exists([])
}

/// Counts sessions that a kill cut off as ended now, for the daemon's start.
///
/// # Errors
/// SQLite's.
pub fn end_cut_off_sessions(connection: &Connection, now: Timestamp) -> rusqlite::Result<()> {
    connection.execute(
        "UPDATE session_rooms SET ended_at = ?1 WHERE ended_at IS NULL",
        [now],
    )?;
    Ok(())
}

/// Forgets rooms that were left before the oldest event that is kept, and those of sessions that
/// ended before `time`. Returns how many rows that were, about `at_most`.
///
/// # Errors
/// SQLite's.
pub fn forget_rooms(
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
