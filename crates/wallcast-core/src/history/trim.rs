//! Shortening the history at its old end, a few events at a time. Takes the oldest alone: a gap
//! would make [`super::oldest_id`] lie.

use rusqlite::{Connection, params};

use super::membership::forget_memberships;
use super::{last_id, oldest_id};
use crate::clock::Timestamp;
use crate::event::EventId;

/// How exactly the number of kept events is held: to a thousandth, so that a full history does not
/// write twice for each event.
const GRAINS: i64 = 1000;

/// Deletes the oldest events, at most `at_most`: those from before `since`, up to the first that is
/// younger, and those beyond the newest `keep` (about a thousandth more may stay). The intervals
/// that only they needed go as well. Says how many rows went of whichever were more.
///
/// # Errors
/// SQLite's.
pub fn trim(
    connection: &Connection,
    since: Timestamp,
    keep: u32,
    at_most: usize,
) -> rusqlite::Result<usize> {
    let oldest = oldest_id(connection)?;
    let step = i64::try_from(at_most).unwrap_or(i64::MAX);
    let end = EventId::new(oldest.get().saturating_add(step));
    let floor = first_by_count(connection, keep)?
        .max(first_by_age(connection, since, step)?.unwrap_or(end))
        .min(end);
    let events = connection
        .prepare_cached("DELETE FROM events WHERE id < ?1")?
        .execute([floor])?;
    let intervals = forget_memberships(connection, oldest_id(connection)?, at_most)?;
    Ok(events.max(intervals))
}

/// The oldest event that the number of events lets stay.
fn first_by_count(connection: &Connection, keep: u32) -> rusqlite::Result<EventId> {
    let keep = i64::from(keep);
    let first = last_id(connection)?.get() - keep + 1;
    let grain = (keep / GRAINS).max(1);
    Ok(EventId::new(first - first.rem_euclid(grain)))
}

/// The oldest event that its age lets stay; none when the first `step` events are all too old.
fn first_by_age(
    connection: &Connection,
    since: Timestamp,
    step: i64,
) -> rusqlite::Result<Option<EventId>> {
    connection
        .prepare_cached(
            "SELECT min(id) FROM (SELECT id, created_at FROM events ORDER BY id LIMIT ?1)
             WHERE created_at >= ?2",
        )?
        .query_row(params![step, since], |row| row.get(0))
}
