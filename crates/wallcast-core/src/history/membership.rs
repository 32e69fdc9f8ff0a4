//! Who listened on which topic, as intervals of event ids.

use std::str::FromStr as _;

use rusqlite::{Connection, Params, Statement, params};

use crate::auth::Subject;
use crate::event::{EventId, Topic};

/// The events from `from` to `until` (both included; no `until` while it lasts) of one topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Span {
    /// The topic that was listened on.
    pub topic: Topic,
    /// The first event that was heard.
    pub from: EventId,
    /// The last one, once it is over.
    pub until: Option<EventId>,
}

impl Span {
    /// A topic that was always listened on and still is.
    pub fn always(topic: Topic) -> Self {
        Self {
            topic,
            from: EventId::default(),
            until: None,
        }
    }

    /// Whether it lasts.
    pub fn is_open(&self) -> bool {
        self.until.is_none()
    }

    /// Whether an event of this id on this topic was heard.
    pub fn covers(&self, topic: &Topic, id: EventId) -> bool {
        self.topic == *topic && self.from <= id && self.until.is_none_or(|until| id <= until)
    }
}

/// Begins an interval, unless one is open already.
///
/// # Errors
/// SQLite's.
pub fn open_membership(
    connection: &Connection,
    subject: &Subject,
    topic: &Topic,
    from: EventId,
) -> rusqlite::Result<()> {
    connection
        .prepare_cached(
            "INSERT INTO memberships (subject, topic, from_event, until_event)
             SELECT ?1, ?2, ?3, NULL
             WHERE NOT EXISTS (SELECT 1 FROM memberships
                               WHERE subject = ?1 AND topic = ?2 AND until_event IS NULL)
             ON CONFLICT (subject, topic, from_event) DO UPDATE SET until_event = NULL",
        )?
        .execute(params![subject.to_string(), topic.to_string(), from])?;
    Ok(())
}

/// Ends the open interval, if there is one.
///
/// # Errors
/// SQLite's.
pub fn close_membership(
    connection: &Connection,
    subject: &Subject,
    topic: &Topic,
    until: EventId,
) -> rusqlite::Result<()> {
    connection
        .prepare_cached(
            "UPDATE memberships SET until_event = ?3
             WHERE subject = ?1 AND topic = ?2 AND until_event IS NULL",
        )?
        .execute(params![subject.to_string(), topic.to_string(), until])?;
    Ok(())
}

/// Every interval of a subject that is not over before `since`.
///
/// # Errors
/// SQLite's.
pub fn spans_of(
    connection: &Connection,
    subject: &Subject,
    since: EventId,
) -> rusqlite::Result<Vec<Span>> {
    let mut query = connection.prepare_cached(
        "SELECT topic, from_event, until_event FROM memberships
         WHERE subject = ?1 AND (until_event IS NULL OR until_event > ?2)",
    )?;
    read_spans(&mut query, params![subject.to_string(), since])
}

/// The spans of a query for topic, first and last event.
pub(super) fn read_spans(
    query: &mut Statement<'_>,
    parameters: impl Params,
) -> rusqlite::Result<Vec<Span>> {
    let rows = query.query_map(parameters, |row| {
        Ok((row.get::<_, String>(0)?, row.get(1)?, row.get(2)?))
    })?;
    let mut spans = Vec::new();
    for row in rows {
        let (text, from, until) = row?;
        match Topic::from_str(&text) {
            Ok(topic) => spans.push(Span { topic, from, until }),
            Err(error) => tracing::error!(%error, "a membership in the store was passed over"),
        }
    }
    Ok(spans)
}

/// Forgets at most `at_most` intervals that were over before the event `oldest`, and says how many.
///
/// # Errors
/// SQLite's.
pub(super) fn forget_memberships(
    connection: &Connection,
    oldest: EventId,
    at_most: usize,
) -> rusqlite::Result<usize> {
    connection
        .prepare_cached(
            "DELETE FROM memberships WHERE (subject, topic, from_event) IN
               (SELECT subject, topic, from_event FROM memberships
                WHERE until_event < ?1 LIMIT ?2)",
        )?
        .execute(params![oldest, i64::try_from(at_most).unwrap_or(i64::MAX)])
}
