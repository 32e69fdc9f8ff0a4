//! The SQL of undelivered, unread and expired messages.

use rusqlite::{Connection, ToSql, params};
use wallcast_core::clock::Timestamp;
use wallcast_core::event::EventId;
use wallcast_core::store::row_limit;

use super::row_ids;
use crate::messages::conversation::{Conversation, UnreadCounts};
use crate::messages::message::Message;
use crate::messages::participant::Participant;
use crate::tokens;

/// The highest unread count of direct messages.
const MAX_UNREAD: i64 = 10_000;
/// How many of the newest messages to all are included in one participant's unread count.
const MAX_TO_ALL: i64 = 1000;
/// How many of the newest messages to all one participant can have undelivered.
const MAX_UNDELIVERED_TO_ALL: i64 = 100;

/// Row ids of the newest `limit` messages whose events are not newer than `until` and that were not
/// delivered to `participant`, oldest first.
pub(crate) fn undelivered(
    db: &Connection,
    participant: &Participant,
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
    let mut seqs = row_ids(&mut own, params![participant, until, now, row_limit(limit)])?;
    if let Some(since) = first_token_issued_at(db, participant)? {
        let mut to_all = db.prepare_cached(
            "SELECT m.seq FROM
               (SELECT seq, event_id, created_at, expires_at FROM messages
                WHERE recipient = 'all' ORDER BY seq DESC LIMIT ?4) m
             WHERE m.event_id <= ?2 AND (m.expires_at IS NULL OR m.expires_at > ?3)
               AND m.created_at >= ?5
               AND NOT EXISTS (SELECT 1 FROM receipts r WHERE r.message = m.seq AND r.party = ?1)",
        )?;
        let parameters = params![participant, until, now, MAX_UNDELIVERED_TO_ALL, since];
        seqs.extend(row_ids(&mut to_all, parameters)?);
    }
    seqs.sort_unstable();
    let beyond = seqs.len().saturating_sub(limit);
    Ok(seqs.split_off(beyond))
}

/// When the first token of a tablet or person was issued. Messages to all from before are not for it.
/// `None` for admins, who send them, and for participants without a token.
fn first_token_issued_at(
    db: &Connection,
    participant: &Participant,
) -> rusqlite::Result<Option<Timestamp>> {
    match participant.subject() {
        Some(subject) => tokens::first_issued_at(db, &subject),
        None => Ok(None),
    }
}

/// Whether `participant` may have undelivered messages: a direct one, or any message to all. Reads
/// indexes only.
pub(crate) fn may_have_pending(
    db: &Connection,
    participant: &Participant,
) -> rusqlite::Result<bool> {
    db.prepare_cached(
        "SELECT EXISTS (SELECT 1 FROM messages WHERE recipient = ?1 AND status = 0)
             OR EXISTS (SELECT 1 FROM messages WHERE recipient = 'all')",
    )?
    .query_row([participant], |row| row.get(0))
}

/// How many messages `participant` has not read, by platform.
pub(crate) fn unread(
    db: &Connection,
    participant: &Participant,
    now: Timestamp,
) -> rusqlite::Result<UnreadCounts> {
    let mut counts = UnreadCounts::default();
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
        params![participant, now, MAX_UNREAD],
    )?;
    if let Some(since) = first_token_issued_at(db, participant)? {
        add(
            &format!("SELECT conversation FROM ({UNREAD_TO_ALL})"),
            params![participant, now, since, MAX_TO_ALL],
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

/// How many messages of one conversation `participant` has not read.
pub(crate) fn unread_in(
    db: &Connection,
    participant: &Participant,
    conversation: &Conversation,
    now: Timestamp,
) -> rusqlite::Result<u64> {
    let count: i64 = if conversation.has(&Participant::All) {
        let Some(since) = first_token_issued_at(db, participant)? else {
            return Ok(0);
        };
        db.prepare_cached(&format!(
            "SELECT count(*) FROM ({UNREAD_TO_ALL}) m WHERE m.conversation = ?5"
        ))?
        .query_row(
            params![participant, now, since, MAX_TO_ALL, conversation.seq],
            |row| row.get(0),
        )?
    } else {
        db.prepare_cached(
            "SELECT count(*) FROM (SELECT 1 FROM messages
             WHERE recipient = ?1 AND conversation = ?3 AND status < 2
               AND (expires_at IS NULL OR expires_at > ?2) LIMIT ?4)",
        )?
        .query_row(
            params![participant, now, conversation.seq, MAX_UNREAD],
            |row| row.get(0),
        )?
    };
    Ok(u64::try_from(count).unwrap_or_default())
}

/// Unread messages whose expiry was not published yet. The column is named `has_lapsed`.
const EXPIRY_NOT_PUBLISHED: &str =
    "expires_at IS NOT NULL AND has_lapsed = 0 AND (status < 2 OR recipient = 'all')";

/// When the next unread message expires.
pub fn next_expiry(db: &Connection) -> rusqlite::Result<Option<Timestamp>> {
    db.prepare_cached(&format!(
        "SELECT min(expires_at) FROM messages WHERE {EXPIRY_NOT_PUBLISHED}"
    ))?
    .query_row([], |row| row.get(0))
}

/// Marks at most `at_most` unread messages that are past their expiry, and returns them. Each message
/// is returned once.
pub(crate) fn take_expired(
    db: &Connection,
    now: Timestamp,
    at_most: usize,
) -> rusqlite::Result<Vec<Message>> {
    let mut query = db.prepare_cached(&format!(
        "SELECT seq FROM messages WHERE {EXPIRY_NOT_PUBLISHED} AND expires_at <= ?1 LIMIT ?2"
    ))?;
    let seqs = row_ids(&mut query, params![now, row_limit(at_most)])?;
    let mut mark = db.prepare_cached("UPDATE messages SET has_lapsed = 1 WHERE seq = ?1")?;
    let mut expired = Vec::new();
    for seq in seqs {
        mark.execute([seq])?;
        expired.push(super::at(db, &Participant::Admin, seq)?);
    }
    Ok(expired)
}
