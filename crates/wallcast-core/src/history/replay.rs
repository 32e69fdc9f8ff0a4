//! Reads the history from a position on: the events that a principal was entitled to, in order, page by page.

use std::collections::BTreeSet;

use rusqlite::{Connection, OptionalExtension as _, params};

use super::{Span, last_id};
use crate::clock::Timestamp;
use crate::event::{Epoch, Event, EventId, EventType, NewEvent, Position};

/// A page ends with the event that brings its data to this many bytes.
const PAGE_BYTES: usize = 64 * 1024;

/// One page of the history.
#[derive(Debug)]
pub struct Page {
    /// The events, oldest first. An event that matches several topics is included once.
    pub events: Vec<Event>,
    /// The last event id that was considered; pass it as `after` for the next page.
    pub reached: EventId,
    /// Whether no further events matched when the page was read.
    pub is_last: bool,
}

/// Reads the events after `after`, up to `until` if given, that the `spans` include. A page has at most `limit` events
/// and about 64 KiB of data. Expired events are omitted. The cost depends on the size of the page, not of the history.
///
/// # Errors
/// If the database fails.
pub fn replay(
    connection: &Connection,
    epoch: &Epoch,
    spans: &[Span],
    after: EventId,
    until: Option<EventId>,
    limit: usize,
) -> rusqlite::Result<Page> {
    let newest = last_id(connection)?;
    let newest = until.map_or(newest, |until| until.min(newest));
    let mut events = Vec::new();
    let mut bytes = 0;
    let mut reached = after;
    let ids = ids(connection, spans, after, newest, limit)?;
    let found_all = ids.len() < limit;
    let mut load = connection.prepare_cached(
        "SELECT type, data, created_at FROM events
         WHERE id = ?1 AND (expires_at IS NULL OR expires_at > ?2)",
    )?;
    let now = Timestamp::now();
    for id in ids {
        if bytes >= PAGE_BYTES {
            return Ok(Page {
                events,
                reached,
                is_last: false,
            });
        }
        reached = id;
        let event = load.query_row(params![id, now], |row| {
            let event_type: String = row.get(0)?;
            let new = NewEvent {
                event_type: EventType::from_stored(&event_type),
                data: row.get(1)?,
                topics: Vec::new(),
                expires_at: None,
            };
            let position = Position {
                epoch: epoch.clone(),
                id,
            };
            Ok(Event::durable(new, position, row.get(2)?))
        });
        // An expired event still counts as considered.
        let Some(event) = event.optional()? else {
            continue;
        };
        bytes += event.data().len();
        events.push(event);
    }
    if found_all {
        reached = newest;
    }
    Ok(Page {
        events,
        reached,
        is_last: found_all,
    })
}

/// [`backlog`] counts to this number of events.
pub const MAX_BACKLOG: usize = 1000;

/// The events that a client has not acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backlog {
    /// How many there are, at most [`MAX_BACKLOG`].
    pub events: usize,
    /// When the oldest of them was committed.
    pub since: Option<Timestamp>,
}

/// Counts the events after `after` that the `spans` include, at most [`MAX_BACKLOG`].
///
/// # Errors
/// If the database fails.
pub fn backlog(
    connection: &Connection,
    spans: &[Span],
    after: EventId,
) -> rusqlite::Result<Backlog> {
    let ids = ids(connection, spans, after, last_id(connection)?, MAX_BACKLOG)?;
    let since = ids.first().map(|id| {
        connection
            .prepare_cached("SELECT created_at FROM events WHERE id = ?1")?
            .query_row([id], |row| row.get(0))
    });
    Ok(Backlog {
        events: ids.len(),
        since: since.transpose()?,
    })
}

/// The first `limit` event ids after `after` that any of the spans includes.
fn ids(
    connection: &Connection,
    spans: &[Span],
    after: EventId,
    newest: EventId,
    limit: usize,
) -> rusqlite::Result<BTreeSet<EventId>> {
    let mut query = connection.prepare_cached(
        "SELECT event_id FROM event_topics
         WHERE topic = ?1 AND event_id BETWEEN ?2 AND ?3 ORDER BY event_id LIMIT ?4",
    )?;
    let most = i64::try_from(limit).unwrap_or(i64::MAX);
    let mut ids = BTreeSet::new();
    for span in spans {
        let from = span.from.max(after.next());
        let until = span.until.map_or(newest, |until| until.min(newest));
        let rows = query.query_map(params![span.topic.to_string(), from, until, most], |row| {
            row.get(0)
        })?;
        for id in rows {
            ids.insert(id?);
        }
        while ids.len() > limit {
            ids.pop_last();
        }
    }
    Ok(ids)
}
