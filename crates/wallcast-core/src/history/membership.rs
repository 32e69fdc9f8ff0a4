//! Which principal was subscribed to which topic, as intervals of event ids.

use std::str::FromStr as _;

use rusqlite::{Connection, Params, Statement, params};

use crate::auth::Subject;
use crate::event::{EventId, Topic};

/// An interval of event ids in which a principal or session was subscribed to a topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Span {
    /// The topic.
    pub topic: Topic,
    /// The first event of the interval.
    pub from: EventId,
    /// The last event, inclusive; `None` while the interval is open.
    pub until: Option<EventId>,
}

impl Span {
    /// An open interval from the start of the history.
    pub fn always(topic: Topic) -> Self {
        Self {
            topic,
            from: EventId::default(),
            until: None,
        }
    }

    /// Whether the topic is still subscribed to.
    pub fn is_open(&self) -> bool {
        self.until.is_none()
    }

    /// Whether the interval includes an event of this id on this topic.
    pub fn covers(&self, topic: &Topic, id: EventId) -> bool {
        self.topic == *topic && self.from <= id && self.until.is_none_or(|until| id <= until)
    }
}

/// Starts an interval with `from` as its first event, unless one is open.
///
/// # Errors
/// If the database fails.
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

/// Ends the open interval, if there is one, with `until` as its last event.
///
/// # Errors
/// If the database fails.
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

/// The principal's intervals that are open or ended after `since`.
///
/// # Errors
/// If the database fails.
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

/// Reads the rows of a query for topic, first event and last event. Topics that cannot be parsed are logged and
/// skipped.
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
            Err(error) => tracing::error!(%error, "skipped a membership with an unknown topic"),
        }
    }
    Ok(spans)
}

/// Deletes at most `at_most` intervals that ended before the event `oldest`. Returns how many were deleted.
pub(super) fn delete_memberships(
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
