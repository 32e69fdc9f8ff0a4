//! The SQL of messages, conversations and people.

use rusqlite::{Connection, OptionalExtension as _, Row, Statement, ToSql, params};

use super::{Body, Conversation, Message, Party, Seen, Status, Unread, Word};
use crate::clock::Timestamp;
use crate::event::EventId;
use crate::ids::{ConversationId, MessageId, UserId};
use crate::store::WriteTx;

/// Messages that an unread count counts at most.
const MAX_UNREAD: i64 = 10_000;
/// Messages to all, newest first, that are looked at for one tablet's or person's own counts.
const MAX_TO_ALL: i64 = 1000;
/// Messages to all, newest first, that one tablet or person may have waiting.
const LOOKED_AT: i64 = 100;
/// People and tablets that are told of one person's presence at most.
const MAX_SHARERS: i64 = 1000;

/// A message as `?1` sees it: of one to all, each is somewhere else.
const COLUMNS: &str = "m.seq, m.id, m.conversation, c.id, m.sender, m.recipient, c.platform, m.body, m.level,
    CASE WHEN m.recipient = 'all' AND ?1 <> 'admin'
         THEN coalesce((SELECT r.status FROM receipts r WHERE r.message = m.seq AND r.party = ?1), 0)
         ELSE m.status END,
    m.created_at, m.expires_at, m.event_id
    FROM messages m JOIN conversations c ON c.seq = m.conversation";
/// What is past its expiry is shown to admins alone.
const VISIBLE: &str = "(?1 = 'admin' OR expires_at IS NULL OR expires_at > ?2)";

fn read(row: &Row<'_>) -> rusqlite::Result<Message> {
    Ok(Message {
        seq: row.get(0)?,
        id: row.get(1)?,
        conversation: row.get(2)?,
        conversation_id: row.get(3)?,
        sender: row.get(4)?,
        recipient: row.get(5)?,
        platform: Word(row.get(6)?),
        body: Body(row.get(7)?),
        level: Word(row.get(8)?),
        status: match row.get(9)? {
            0 => Status::Sent,
            1 => Status::Delivered,
            _ => Status::Read,
        },
        created_at: row.get(10)?,
        expires_at: row.get(11)?,
        event_id: row.get(12)?,
    })
}

impl ToSql for Status {
    fn to_sql(&self) -> rusqlite::Result<rusqlite::types::ToSqlOutput<'_>> {
        let number: i64 = match self {
            Self::Sent => 0,
            Self::Delivered => 1,
            Self::Read => 2,
        };
        Ok(number.into())
    }
}

fn limit_of(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}

/// One message as `viewer` sees it.
pub(super) fn find(
    db: &Connection,
    viewer: &Party,
    id: &MessageId,
) -> rusqlite::Result<Option<Message>> {
    db.prepare_cached(&format!("SELECT {COLUMNS} WHERE m.id = ?2"))?
        .query_row(params![viewer, id], read)
        .optional()
}

/// One message by its place.
pub(super) fn at(db: &Connection, viewer: &Party, seq: i64) -> rusqlite::Result<Message> {
    db.prepare_cached(&format!("SELECT {COLUMNS} WHERE m.seq = ?2"))?
        .query_row(params![viewer, seq], read)
}

/// Messages that `viewer` wrote or got, newest first, before the place given; every one for admins.
pub(super) fn page(
    db: &Connection,
    viewer: &Party,
    now: Timestamp,
    before: i64,
    limit: usize,
) -> rusqlite::Result<Vec<Message>> {
    let conditions: &[&str] = match viewer {
        Party::Admin => &["true"],
        _ => &["sender = ?1", "recipient = ?1", "recipient = 'all'"],
    };
    let mut places = Vec::new();
    for condition in conditions {
        let mut query = db.prepare_cached(&format!(
            "SELECT seq FROM messages WHERE {condition} AND {VISIBLE} AND seq < ?3
             ORDER BY seq DESC LIMIT ?4"
        ))?;
        let found = params![viewer, now, before, limit_of(limit)];
        places.extend(places_of(&mut query, found)?);
    }
    places.sort_unstable_by(|one, other| other.cmp(one));
    places.truncate(limit);
    places.iter().map(|seq| at(db, viewer, *seq)).collect()
}

/// Messages of a conversation, newest first, before the place given.
pub(super) fn page_of(
    db: &Connection,
    viewer: &Party,
    conversation: &Conversation,
    now: Timestamp,
    before: i64,
    limit: usize,
) -> rusqlite::Result<Vec<Message>> {
    db.prepare_cached(&format!(
        "SELECT {COLUMNS} WHERE m.conversation = ?3 AND {VISIBLE} AND m.seq < ?4
         ORDER BY m.seq DESC LIMIT ?5"
    ))?
    .query_map(
        params![viewer, now, conversation.seq, before, limit_of(limit)],
        read,
    )?
    .collect()
}

fn places_of(
    query: &mut Statement<'_>,
    parameters: impl rusqlite::Params,
) -> rusqlite::Result<Vec<i64>> {
    query.query_map(parameters, |row| row.get(0))?.collect()
}

const CONVERSATION: &str = "SELECT seq, id, one, other, platform FROM conversations";

fn read_conversation(row: &Row<'_>) -> rusqlite::Result<Conversation> {
    Ok(Conversation {
        seq: row.get(0)?,
        id: row.get(1)?,
        sides: [row.get(2)?, row.get(3)?],
        platform: Word(row.get(4)?),
    })
}

/// One conversation.
pub(super) fn find_conversation(
    db: &Connection,
    id: &ConversationId,
) -> rusqlite::Result<Option<Conversation>> {
    db.prepare_cached(&format!("{CONVERSATION} WHERE id = ?1"))?
        .query_row([id], read_conversation)
        .optional()
}

/// One conversation by its place.
pub(super) fn conversation_at(db: &Connection, seq: i64) -> rusqlite::Result<Conversation> {
    db.prepare_cached(&format!("{CONVERSATION} WHERE seq = ?1"))?
        .query_row([seq], read_conversation)
}

/// The conversation of two sides, which come in order.
pub(super) fn find_between(
    db: &Connection,
    [one, other]: &[Party; 2],
    platform: &Word,
) -> rusqlite::Result<Option<Conversation>> {
    db.prepare_cached(&format!(
        "{CONVERSATION} WHERE one = ?1 AND other = ?2 AND platform = ?3"
    ))?
    .query_row(params![one, other, platform.0], read_conversation)
    .optional()
}

/// Opens a conversation of two sides, which come in order.
pub(super) fn open(
    db: &Connection,
    sides: [Party; 2],
    platform: Word,
    now: Timestamp,
) -> rusqlite::Result<Conversation> {
    let id = ConversationId::random();
    db.prepare_cached(
        "INSERT INTO conversations (id, one, other, platform, messages, updated_at)
         VALUES (?1, ?2, ?3, ?4, 0, ?5)",
    )?
    .execute(params![id, sides[0], sides[1], platform.0, now])?;
    let seq = db.last_insert_rowid();
    let mut join = db.prepare_cached(
        "INSERT OR IGNORE INTO conversation_sides (conversation, party, updated_at)
         VALUES (?1, ?2, ?3)",
    )?;
    for party in sides.iter().chain([&Party::Admin]) {
        join.execute(params![seq, party, now])?;
    }
    Ok(Conversation {
        seq,
        id,
        sides,
        platform,
    })
}

/// A conversation as `viewer` sees it now.
pub(super) fn seen_by(
    db: &Connection,
    viewer: &Party,
    conversation: Conversation,
    now: Timestamp,
) -> rusqlite::Result<Seen> {
    let (last, updated_at): (Option<i64>, Timestamp) = db
        .prepare_cached("SELECT last_message, updated_at FROM conversations WHERE seq = ?1")?
        .query_row([conversation.seq], |row| Ok((row.get(0)?, row.get(1)?)))?;
    // It may be archived while the conversation is not yet.
    let last = last.map(|seq| at(db, viewer, seq).optional()).transpose()?;
    let last_message = last
        .flatten()
        .filter(|message| *viewer == Party::Admin || !message.is_over(now));
    let unread = unread_in(db, viewer, &conversation, now)?;
    Ok(Seen {
        conversation,
        last_message,
        unread,
        updated_at,
    })
}

/// Places of the conversations that `viewer` may look into, the newest first, before the one given.
pub(super) fn conversations(
    db: &Connection,
    viewer: &Party,
    before: (i64, i64),
    limit: usize,
) -> rusqlite::Result<Vec<i64>> {
    let parties = match viewer {
        Party::Admin => vec![viewer],
        _ => vec![viewer, &Party::All],
    };
    let mut query = db.prepare_cached(
        "SELECT updated_at, conversation FROM conversation_sides
         WHERE party = ?1 AND (updated_at, conversation) < (?2, ?3)
         ORDER BY updated_at DESC, conversation DESC LIMIT ?4",
    )?;
    let mut places: Vec<(i64, i64)> = Vec::new();
    for party in parties {
        let parameters = params![party, before.0, before.1, limit_of(limit)];
        for place in query.query_map(parameters, |row| Ok((row.get(0)?, row.get(1)?)))? {
            places.push(place?);
        }
    }
    places.sort_unstable_by(|one, other| other.cmp(one));
    places.truncate(limit);
    Ok(places.into_iter().map(|(_, seq)| seq).collect())
}

/// Writes a message, which becomes its conversation's last. Gives its place.
pub(super) fn insert(db: &Connection, message: &Message) -> rusqlite::Result<i64> {
    db.prepare_cached(
        "INSERT INTO messages (id, conversation, sender, recipient, body, level, status, created_at, expires_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
    )?
    .execute(params![
        message.id,
        message.conversation,
        message.sender,
        message.recipient,
        message.body.0,
        message.level.0,
        message.status,
        message.created_at,
        message.expires_at,
    ])?;
    let seq = db.last_insert_rowid();
    db.prepare_cached(
        "UPDATE conversations SET messages = messages + 1, last_message = ?2, updated_at = ?3
         WHERE seq = ?1",
    )?
    .execute(params![message.conversation, seq, message.created_at])?;
    db.prepare_cached("UPDATE conversation_sides SET updated_at = ?2 WHERE conversation = ?1")?
        .execute(params![message.conversation, message.created_at])?;
    Ok(seq)
}

/// Lets go of a conversation's oldest message if more than `most` are kept.
pub(super) fn trim(db: &Connection, conversation: i64, most: i64) -> rusqlite::Result<()> {
    db.prepare_cached(
        "DELETE FROM messages WHERE seq =
           (SELECT min(m.seq) FROM messages m WHERE m.conversation = ?1)
         AND (SELECT messages FROM conversations WHERE seq = ?1) > ?2",
    )?
    .execute(params![conversation, most])?;
    Ok(())
}

/// Remembers by which event the recipient hears of it.
pub(super) fn set_event(db: &Connection, seq: i64, event: EventId) -> rusqlite::Result<()> {
    db.prepare_cached("UPDATE messages SET event_id = ?2 WHERE seq = ?1")?
        .execute(params![seq, event])?;
    Ok(())
}

/// Moves a message on; false if it is as far already.
pub(super) fn advance(db: &Connection, seq: i64, status: Status) -> rusqlite::Result<bool> {
    db.prepare_cached("UPDATE messages SET status = ?2 WHERE seq = ?1 AND status < ?2")?
        .execute(params![seq, status])
        .map(|changed| changed > 0)
}

/// Moves one tablet or person on with a message to all; false if it is as far already.
pub(super) fn advance_one(
    db: &Connection,
    seq: i64,
    party: &Party,
    status: Status,
) -> rusqlite::Result<bool> {
    db.prepare_cached(
        "INSERT INTO receipts (message, party, status) VALUES (?1, ?2, ?3)
         ON CONFLICT (message, party) DO UPDATE SET status = ?3 WHERE status < ?3",
    )?
    .execute(params![seq, party, status])
    .map(|changed| changed > 0)
}

/// Places of what is not delivered to `party`, its event no later than `until`: the newest `limit`,
/// oldest first. `since` is when the party came to the house; what was said to all before is not its.
pub(super) fn undelivered(
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
    let mut places = places_of(&mut own, params![party, until, now, limit_of(limit)])?;
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
pub(super) fn may_wait(db: &Connection, party: &Party) -> rusqlite::Result<bool> {
    db.prepare_cached(
        "SELECT EXISTS (SELECT 1 FROM messages WHERE recipient = ?1 AND status = 0)
             OR EXISTS (SELECT 1 FROM messages WHERE recipient = 'all')",
    )?
    .query_row([party], |row| row.get(0))
}

/// What `party` has not read, by platform.
pub(super) fn unread(
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
fn unread_in(
    db: &Connection,
    party: &Party,
    conversation: &Conversation,
    now: Timestamp,
) -> rusqlite::Result<u64> {
    let count: i64 = if conversation.has(&Party::All) {
        let Some(since) = super::receipts::since(db, party)? else {
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

/// Who else is in a conversation with `party`; admins, who hear of everyone, left out.
pub(super) fn sharers(db: &Connection, party: &Party) -> rusqlite::Result<Vec<Party>> {
    db.prepare_cached(
        "SELECT DISTINCT CASE WHEN c.one = ?1 THEN c.other ELSE c.one END AS sharer
         FROM conversation_sides s JOIN conversations c ON c.seq = s.conversation
         WHERE s.party = ?1 AND c.one <> 'admin' LIMIT ?2",
    )?
    .query_map(params![party, MAX_SHARERS], |row| row.get(0))?
    .collect()
}

/// When a person's last session ended.
pub(super) fn last_seen(db: &Connection, user: &UserId) -> rusqlite::Result<Option<Timestamp>> {
    db.prepare_cached("SELECT last_seen_at FROM people WHERE user_id = ?1")?
        .query_row([user], |row| row.get(0))
        .optional()
}

pub(super) fn set_last_seen(db: &Connection, user: &UserId, at: Timestamp) -> rusqlite::Result<()> {
    db.prepare_cached(
        "INSERT INTO people (user_id, last_seen_at) VALUES (?1, ?2)
         ON CONFLICT (user_id) DO UPDATE SET last_seen_at = ?2",
    )?
    .execute(params![user, at])?;
    Ok(())
}

/// Forgets at most `at_most` messages from before then, conversations that are left without any,
/// and people who were last here before then. Says how many of the most frequent kind.
///
/// # Errors
/// SQLite's.
pub fn forget(tx: &mut WriteTx<'_>, before: Timestamp, at_most: usize) -> rusqlite::Result<usize> {
    let db = tx.connection();
    let most = limit_of(at_most);
    let messages = db
        .prepare_cached(
            "DELETE FROM messages WHERE seq IN
               (SELECT seq FROM messages WHERE created_at < ?1 LIMIT ?2)",
        )?
        .execute(params![before, most])?;
    let conversations = db
        .prepare_cached(
            "DELETE FROM conversations WHERE seq IN
               (SELECT seq FROM conversations WHERE updated_at < ?1 AND messages = 0 LIMIT ?2)",
        )?
        .execute(params![before, most])?;
    let people = db
        .prepare_cached(
            "DELETE FROM people WHERE user_id IN
               (SELECT user_id FROM people WHERE last_seen_at < ?1 LIMIT ?2)",
        )?
        .execute(params![before, most])?;
    Ok(messages.max(conversations).max(people))
}
