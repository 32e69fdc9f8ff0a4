//! Reading on from a place in history: what a principal was to be told, in order, a page at a time.

use std::collections::BTreeSet;

use rusqlite::{Connection, OptionalExtension as _, params};

use super::{Span, last_id};
use crate::clock::Timestamp;
use crate::event::{Epoch, Event, EventId, EventType, NewEvent, Position};

/// Bytes of event data after which a page is full.
const PAGE_BYTES: usize = 64 * 1024;

/// A part of the history.
#[derive(Debug)]
pub struct Page {
    /// The events, oldest first, each once however many topics match.
    pub events: Vec<Event>,
    /// How far the history was looked through.
    pub reached: EventId,
    /// Whether nothing was left when the page was read.
    pub is_last: bool,
}

/// The events after `after`, as far as `until` if that is given, that `spans` cover: at most
/// `limit`, and no more than about 64 KiB.
/// What is past its expiry is left out. Costs what it returns, not what is kept.
///
/// # Errors
/// SQLite's.
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
            let kind: String = row.get(0)?;
            let new = NewEvent {
                kind: EventType::from_stored(&kind),
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
        // What is past its expiry is of no use any more.
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

/// Events of a backlog that are counted at most.
pub const MAX_BACKLOG: usize = 1000;

/// What somebody has not been through yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backlog {
    /// How many events, as far as they are counted.
    pub events: usize,
    /// When the oldest of them was committed.
    pub since: Option<Timestamp>,
}

/// How much `spans` cover after `after`; counts to [`MAX_BACKLOG`].
///
/// # Errors
/// SQLite's.
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

/// The first `limit` ids after `after` in any of the spans.
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
