//! The SQL of what waits: messages that were not delivered and counts of those that were not read.

use rusqlite::{Connection, ToSql, params};

use super::places_of;
use crate::messages::{Conversation, Message, Party, Unread};
use wallcast_core::clock::Timestamp;
use wallcast_core::event::EventId;
use wallcast_core::store::row_limit;

/// Messages that an unread count counts at most.
const MAX_UNREAD: i64 = 10_000;
/// Messages to all, newest first, that are looked at for one tablet's or person's own counts.
const MAX_TO_ALL: i64 = 1000;
/// Messages to all, newest first, that one tablet or person may have waiting.
const LOOKED_AT: i64 = 100;

/// Places of what is not delivered to `party`, its event no later than `until`: the newest `limit`,
/// oldest first. `since` is when the party came to the house; what was said to all before is not its.
pub(crate) fn undelivered(
    db: &Connection,
    party: &Party,
    since: Option<Timestamp>,
    now: Timestamp,
    until: EventId,
    limit: usize,
) -> rusqlite::Result<Vec<i64>> {
    let mut own = db.prepare_cached(
        "SELECT seq FROM messages
         WHERE recipient = ?1 AND status = 0 AND event_id <= ?2
           AND (expires_at IS NULL OR expires_at > ?3)
         ORDER BY event_id DESC LIMIT ?4",
    )?;
    let mut places = places_of(&mut own, params![party, until, now, row_limit(limit)])?;
    if let Some(since) = since {
        let mut to_all = db.prepare_cached(
            "SELECT m.seq FROM
               (SELECT seq, event_id, created_at, expires_at FROM messages
                WHERE recipient = 'all' ORDER BY seq DESC LIMIT ?4) m
             WHERE m.event_id <= ?2 AND (m.expires_at IS NULL OR m.expires_at > ?3)
               AND m.created_at >= ?5
               AND NOT EXISTS (SELECT 1 FROM receipts r WHERE r.message = m.seq AND r.party = ?1)",
        )?;
        let parameters = params![party, until, now, LOOKED_AT, since];
        places.extend(places_of(&mut to_all, parameters)?);
    }
    places.sort_unstable();
    let beyond = places.len().saturating_sub(limit);
    Ok(places.split_off(beyond))
}

/// Whether a direct message may wait for `party`, or any to all; a look by index alone.
pub(crate) fn may_wait(db: &Connection, party: &Party) -> rusqlite::Result<bool> {
    db.prepare_cached(
        "SELECT EXISTS (SELECT 1 FROM messages WHERE recipient = ?1 AND status = 0)
             OR EXISTS (SELECT 1 FROM messages WHERE recipient = 'all')",
    )?
    .query_row([party], |row| row.get(0))
}

/// What `party` has not read, by platform.
pub(crate) fn unread(
    db: &Connection,
    party: &Party,
    since: Option<Timestamp>,
    now: Timestamp,
) -> rusqlite::Result<Unread> {
    let mut counts = Unread::default();
    let mut add = |query: &str, parameters: &[&dyn ToSql]| {
        let mut query = db.prepare_cached(&format!(
            "SELECT c.platform, count(*) FROM ({query}) m
             JOIN conversations c ON c.seq = m.conversation GROUP BY c.platform"
        ))?;
        for row in query.query_map(parameters, |row| Ok((row.get(0)?, row.get(1)?)))? {
            let (platform, count): (String, i64) = row?;
            *counts.0.entry(platform).or_default() += u64::try_from(count).unwrap_or_default();
        }
        Ok::<_, rusqlite::Error>(())
    };
    add(
        "SELECT conversation FROM messages
         WHERE recipient = ?1 AND status < 2 AND (expires_at IS NULL OR expires_at > ?2) LIMIT ?3",
        params![party, now, MAX_UNREAD],
    )?;
    if let Some(since) = since {
        add(
            &format!("SELECT conversation FROM ({UNREAD_TO_ALL})"),
            params![party, now, since, MAX_TO_ALL],
        )?;
    }
    Ok(counts)
}

const UNREAD_TO_ALL: &str = "SELECT m.conversation FROM
    (SELECT seq, conversation, created_at, expires_at FROM messages
     WHERE recipient = 'all' ORDER BY seq DESC LIMIT ?4) m
    WHERE m.created_at >= ?3 AND (m.expires_at IS NULL OR m.expires_at > ?2)
      AND NOT EXISTS (SELECT 1 FROM receipts r
                      WHERE r.message = m.seq AND r.party = ?1 AND r.status = 2)";

/// What `party` has not read of one conversation.
pub(crate) fn unread_in(
    db: &Connection,
    party: &Party,
    conversation: &Conversation,
    now: Timestamp,
) -> rusqlite::Result<u64> {
    let count: i64 = if conversation.has(&Party::All) {
        let Some(since) = crate::messages::receipts::since(db, party)? else {
            return Ok(0);
        };
        db.prepare_cached(&format!(
            "SELECT count(*) FROM ({UNREAD_TO_ALL}) m WHERE m.conversation = ?5"
        ))?
        .query_row(
            params![party, now, since, MAX_TO_ALL, conversation.seq],
            |row| row.get(0),
        )?
    } else {
        db.prepare_cached(
            "SELECT count(*) FROM (SELECT 1 FROM messages
             WHERE recipient = ?1 AND conversation = ?3 AND status < 2
               AND (expires_at IS NULL OR expires_at > ?2) LIMIT ?4)",
        )?
        .query_row(params![party, now, conversation.seq, MAX_UNREAD], |row| {
            row.get(0)
        })?
    };
    Ok(u64::try_from(count).unwrap_or_default())
}

const LAPSES: &str =
    "expires_at IS NOT NULL AND has_lapsed = 0 AND (status < 2 OR recipient = 'all')";

/// When the next unread message expires that nobody was told of.
///
/// # Errors
/// SQLite's.
pub fn next_lapse(db: &Connection) -> rusqlite::Result<Option<Timestamp>> {
    db.prepare_cached(&format!(
        "SELECT min(expires_at) FROM messages WHERE {LAPSES}"
    ))?
    .query_row([], |row| row.get(0))
}

/// At most `at_most` unread messages that are past their expiry, each given once.
pub(crate) fn lapsed(
    db: &Connection,
    now: Timestamp,
    at_most: usize,
) -> rusqlite::Result<Vec<Message>> {
    let mut query = db.prepare_cached(&format!(
        "SELECT seq FROM messages WHERE {LAPSES} AND expires_at <= ?1 LIMIT ?2"
    ))?;
    let places = places_of(&mut query, params![now, row_limit(at_most)])?;
    let mut note = db.prepare_cached("UPDATE messages SET has_lapsed = 1 WHERE seq = ?1")?;
    let mut lapsed = Vec::new();
    for seq in places {
        note.execute([seq])?;
        lapsed.push(super::at(db, &Party::Admin, seq)?);
    }
    Ok(lapsed)
}
