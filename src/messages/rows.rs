//! The SQL of messages.

mod conversations;
mod pending;
mod people;

use rusqlite::{Connection, OptionalExtension as _, Row, Statement, ToSql, params};
use wallcast_core::clock::Timestamp;
use wallcast_core::event::EventId;
use wallcast_core::ids::MessageId;
use wallcast_core::store::{WriteTx, row_limit};

use super::conversation::Conversation;
use super::message::{Message, MessageStatus};
use super::participant::Participant;
use super::text::{Body, Label};

pub(crate) use conversations::{
    conversation_at, conversation_partners, conversations, create_conversation, find_between,
    find_conversation, view_of,
};
pub use pending::next_expiry;
pub(crate) use pending::{may_have_pending, take_expired, undelivered, unread};
pub(crate) use people::{last_seen, set_last_seen};

/// The columns of a message as the participant `?1` sees it. Every recipient of a message to all has
/// a status of its own.
const COLUMNS: &str = "m.seq, m.id, m.conversation, c.id, m.sender, m.recipient, c.platform, m.body, m.level,
    CASE WHEN m.recipient = 'all' AND ?1 <> 'admin'
         THEN coalesce((SELECT r.status FROM receipts r WHERE r.message = m.seq AND r.party = ?1), 0)
         ELSE m.status END,
    m.created_at, m.expires_at, m.event_id
    FROM messages m JOIN conversations c ON c.seq = m.conversation";
/// Expired messages are visible to admins only.
const VISIBLE: &str = "(?1 = 'admin' OR expires_at IS NULL OR expires_at > ?2)";

fn read(row: &Row<'_>) -> rusqlite::Result<Message> {
    Ok(Message {
        seq: row.get(0)?,
        id: row.get(1)?,
        conversation: row.get(2)?,
        conversation_id: row.get(3)?,
        sender: row.get(4)?,
        recipient: row.get(5)?,
        platform: Label(row.get(6)?),
        body: Body(row.get(7)?),
        level: Label(row.get(8)?),
        status: match row.get(9)? {
            0 => MessageStatus::Sent,
            1 => MessageStatus::Delivered,
            _ => MessageStatus::Read,
        },
        created_at: row.get(10)?,
        expires_at: row.get(11)?,
        event_id: row.get(12)?,
    })
}

impl ToSql for MessageStatus {
    fn to_sql(&self) -> rusqlite::Result<rusqlite::types::ToSqlOutput<'_>> {
        let number: i64 = match self {
            Self::Sent => 0,
            Self::Delivered => 1,
            Self::Read => 2,
        };
        Ok(number.into())
    }
}

/// One message as `viewer` sees it.
pub(super) fn find(
    db: &Connection,
    viewer: &Participant,
    id: &MessageId,
) -> rusqlite::Result<Option<Message>> {
    db.prepare_cached(&format!("SELECT {COLUMNS} WHERE m.id = ?2"))?
        .query_row(params![viewer, id], read)
        .optional()
}

/// The message with the row id `seq`, as `viewer` sees it.
pub(super) fn at(db: &Connection, viewer: &Participant, seq: i64) -> rusqlite::Result<Message> {
    db.prepare_cached(&format!("SELECT {COLUMNS} WHERE m.seq = ?2"))?
        .query_row(params![viewer, seq], read)
}

/// Messages with row ids below `before` that `viewer` sent or received, newest first. For admins:
/// all messages.
pub(crate) fn page(
    db: &Connection,
    viewer: &Participant,
    now: Timestamp,
    before: i64,
    limit: usize,
) -> rusqlite::Result<Vec<Message>> {
    let conditions: &[&str] = match viewer {
        Participant::Admin => &["true"],
        _ => &["sender = ?1", "recipient = ?1", "recipient = 'all'"],
    };
    let mut seqs = Vec::new();
    for condition in conditions {
        let mut query = db.prepare_cached(&format!(
            "SELECT seq FROM messages WHERE {condition} AND {VISIBLE} AND seq < ?3
             ORDER BY seq DESC LIMIT ?4"
        ))?;
        let parameters = params![viewer, now, before, row_limit(limit)];
        seqs.extend(row_ids(&mut query, parameters)?);
    }
    seqs.sort_unstable_by(|one, other| other.cmp(one));
    seqs.truncate(limit);
    seqs.iter().map(|seq| at(db, viewer, *seq)).collect()
}

/// Messages of a conversation with row ids below `before`, newest first.
pub(crate) fn page_of(
    db: &Connection,
    viewer: &Participant,
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
        params![viewer, now, conversation.seq, before, row_limit(limit)],
        read,
    )?
    .collect()
}

fn row_ids(
    query: &mut Statement<'_>,
    parameters: impl rusqlite::Params,
) -> rusqlite::Result<Vec<i64>> {
    query.query_map(parameters, |row| row.get(0))?.collect()
}

/// Inserts a message as its conversation's last one. Returns its row id.
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

/// Deletes a conversation's oldest message if it has more than `max`.
pub(super) fn trim(db: &Connection, conversation: i64, max: i64) -> rusqlite::Result<()> {
    db.prepare_cached(
        "DELETE FROM messages WHERE seq =
           (SELECT min(m.seq) FROM messages m WHERE m.conversation = ?1)
         AND (SELECT messages FROM conversations WHERE seq = ?1) > ?2",
    )?
    .execute(params![conversation, max])?;
    Ok(())
}

/// Sets the recipient's `new_message` event.
pub(super) fn set_event(db: &Connection, seq: i64, event: EventId) -> rusqlite::Result<()> {
    db.prepare_cached("UPDATE messages SET event_id = ?2 WHERE seq = ?1")?
        .execute(params![seq, event])?;
    Ok(())
}

/// Advances a message's status. Returns false if it has this status or a later one already.
pub(super) fn advance(db: &Connection, seq: i64, status: MessageStatus) -> rusqlite::Result<bool> {
    db.prepare_cached("UPDATE messages SET status = ?2 WHERE seq = ?1 AND status < ?2")?
        .execute(params![seq, status])
        .map(|changed| changed > 0)
}

/// Advances the status that a message to all has for one recipient. Returns false if it has this
/// status or a later one already.
pub(super) fn advance_recipient(
    db: &Connection,
    seq: i64,
    participant: &Participant,
    status: MessageStatus,
) -> rusqlite::Result<bool> {
    db.prepare_cached(
        "INSERT INTO receipts (message, party, status) VALUES (?1, ?2, ?3)
         ON CONFLICT (message, party) DO UPDATE SET status = ?3 WHERE status < ?3",
    )?
    .execute(params![seq, participant, status])
    .map(|changed| changed > 0)
}

/// Deletes what is older than `before`: messages, conversations without messages, and people by when
/// they were last online, at most `at_most` of each. Returns the largest of the three counts.
pub fn delete_old(
    tx: &mut WriteTx<'_>,
    before: Timestamp,
    at_most: usize,
) -> rusqlite::Result<usize> {
    let db = tx.connection();
    let most = row_limit(at_most);
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

#[cfg(test)]
mod tests {
    use super::*;
    use wallcast_core::ids::ConversationId;

    fn message(conversation: i64, n: i64) -> Message {
        Message {
            seq: 0,
            id: MessageId::random(),
            conversation,
            conversation_id: ConversationId::random(),
            sender: Participant::Admin,
            recipient: "user:u".parse().unwrap(),
            platform: Label::wallcast(),
            body: Body(n.to_string()),
            level: Label::info(),
            status: MessageStatus::Sent,
            created_at: Timestamp::from_unix_ms(n),
            expires_at: None,
            event_id: None,
        }
    }

    fn database() -> Connection {
        let db = Connection::open_in_memory().unwrap();
        db.execute_batch(&wallcast_core::store::MIGRATIONS.concat())
            .unwrap();
        db
    }

    #[test]
    fn trimmed_conversation_keeps_newest_messages() {
        let db = database();
        let at = Timestamp::from_unix_ms(0);
        let participants = [Participant::Admin, "user:u".parse().unwrap()];
        let full = create_conversation(&db, participants, Label::wallcast(), at).unwrap();
        let participants = [Participant::Admin, "user:v".parse().unwrap()];
        let other = create_conversation(&db, participants, Label::wallcast(), at).unwrap();
        insert(&db, &message(other.seq, 0)).unwrap();
        for n in 1..=5 {
            insert(&db, &message(full.seq, n)).unwrap();
            trim(&db, full.seq, 3).unwrap();
        }
        let bodies = |conversation| {
            let page = page_of(&db, &Participant::Admin, conversation, at, i64::MAX, 10).unwrap();
            page.into_iter().map(|m| m.body.0).collect::<Vec<_>>()
        };
        assert_eq!(bodies(&full), ["5", "4", "3"]);
        assert_eq!(bodies(&other), ["0"]);
    }

    #[test]
    fn pending_queries_use_indexes() {
        let db = database();
        for (condition, index) in [
            (
                "recipient = 'a' AND status = 0 AND event_id <= 5",
                "messages_undelivered (recipient=? AND event_id<?)",
            ),
            (
                "recipient = 'a' AND status < 2",
                "messages_unread (recipient=?)",
            ),
            (
                "recipient = 'a' AND conversation = 5 AND status < 2",
                "messages_unread (recipient=? AND conversation=?)",
            ),
            (
                "expires_at IS NOT NULL AND has_lapsed = 0 AND (status < 2 OR recipient = 'all') AND expires_at <= 5",
                "messages_by_expiry (expires_at>? AND expires_at<?)",
            ),
            (
                "sender = 'a' AND seq < 5 ORDER BY seq DESC",
                "messages_by_sender (sender=? AND seq<?)",
            ),
        ] {
            let sql =
                format!("EXPLAIN QUERY PLAN SELECT conversation FROM messages WHERE {condition}");
            let plan: String = db.query_row(&sql, [], |row| row.get(3)).unwrap();
            assert!(plan.ends_with(index), "{plan}");
        }
    }
}
