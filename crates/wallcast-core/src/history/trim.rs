//! Deletes old events in small steps, always from the old end: [`super::oldest_id`] relies on a history without gaps.

use rusqlite::{Connection, params};

use super::membership::delete_memberships;
use super::{last_id, oldest_id};
use crate::clock::Timestamp;
use crate::event::EventId;

/// The limit on the number of events is applied in steps of a thousandth of it. Otherwise each new event in a full
/// history would cause a deletion.
const GRAINS: i64 = 1000;

/// Deletes at most `at_most` of the oldest events: those before `since`, up to the first younger one, and those beyond
/// the newest `keep` (up to a thousandth more may remain). Also deletes at most `at_most` membership intervals that
/// ended before the oldest remaining event. Returns the larger of the two numbers of deleted rows, so that the caller
/// continues while it equals `at_most`.
///
/// # Errors
/// If the database fails.
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
    let intervals = delete_memberships(connection, oldest_id(connection)?, at_most)?;
    Ok(events.max(intervals))
}

/// The oldest event that may remain by the number of events.
fn first_by_count(connection: &Connection, keep: u32) -> rusqlite::Result<EventId> {
    let keep = i64::from(keep);
    let first = last_id(connection)?.get() - keep + 1;
    let grain = (keep / GRAINS).max(1);
    Ok(EventId::new(first - first.rem_euclid(grain)))
}

/// The oldest event that may remain by age; `None` if the first `step` events are all too old.
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
