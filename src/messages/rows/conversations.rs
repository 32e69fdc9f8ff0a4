//! The SQL of conversations and of their participants.

use rusqlite::{Connection, OptionalExtension as _, Row, params};
use wallcast_core::clock::Timestamp;
use wallcast_core::ids::ConversationId;
use wallcast_core::store::row_limit;

use super::pending;
use crate::messages::conversation::{Conversation, ConversationView};
use crate::messages::participant::Participant;
use crate::messages::text::Label;

/// People and tablets that receive one person's presence.
const MAX_PARTNERS: i64 = 1000;

const CONVERSATION: &str = "SELECT seq, id, one, other, platform FROM conversations";

fn read_conversation(row: &Row<'_>) -> rusqlite::Result<Conversation> {
    Ok(Conversation {
        seq: row.get(0)?,
        id: row.get(1)?,
        participants: [row.get(2)?, row.get(3)?],
        platform: Label(row.get(4)?),
    })
}

pub(crate) fn find_conversation(
    db: &Connection,
    id: &ConversationId,
) -> rusqlite::Result<Option<Conversation>> {
    db.prepare_cached(&format!("{CONVERSATION} WHERE id = ?1"))?
        .query_row([id], read_conversation)
        .optional()
}

/// The conversation with the row id `seq`.
pub(crate) fn conversation_at(db: &Connection, seq: i64) -> rusqlite::Result<Conversation> {
    db.prepare_cached(&format!("{CONVERSATION} WHERE seq = ?1"))?
        .query_row([seq], read_conversation)
}

/// The conversation of two participants, which must be sorted.
pub(crate) fn find_between(
    db: &Connection,
    [one, other]: &[Participant; 2],
    platform: &Label,
) -> rusqlite::Result<Option<Conversation>> {
    db.prepare_cached(&format!(
        "{CONVERSATION} WHERE one = ?1 AND other = ?2 AND platform = ?3"
    ))?
    .query_row(params![one, other, platform.0], read_conversation)
    .optional()
}

/// Creates a conversation of two participants, which must be sorted.
pub(crate) fn create_conversation(
    db: &Connection,
    participants: [Participant; 2],
    platform: Label,
    now: Timestamp,
) -> rusqlite::Result<Conversation> {
    let id = ConversationId::random();
    db.prepare_cached(
        "INSERT INTO conversations (id, one, other, platform, messages, updated_at)
         VALUES (?1, ?2, ?3, ?4, 0, ?5)",
    )?
    .execute(params![
        id,
        participants[0],
        participants[1],
        platform.0,
        now
    ])?;
    let seq = db.last_insert_rowid();
    let mut join = db.prepare_cached(
        "INSERT OR IGNORE INTO conversation_sides (conversation, party, updated_at)
         VALUES (?1, ?2, ?3)",
    )?;
    for participant in participants.iter().chain([&Participant::Admin]) {
        join.execute(params![seq, participant, now])?;
    }
    Ok(Conversation {
        seq,
        id,
        participants,
        platform,
    })
}

/// A conversation as `viewer` sees it at `now`.
pub(crate) fn view_of(
    db: &Connection,
    viewer: &Participant,
    conversation: Conversation,
    now: Timestamp,
) -> rusqlite::Result<ConversationView> {
    let (last, updated_at): (Option<i64>, Timestamp) = db
        .prepare_cached("SELECT last_message, updated_at FROM conversations WHERE seq = ?1")?
        .query_row([conversation.seq], |row| Ok((row.get(0)?, row.get(1)?)))?;
    // Retention can delete the message before it deletes the conversation.
    let last = last
        .map(|seq| super::at(db, viewer, seq).optional())
        .transpose()?;
    let last_message = last
        .flatten()
        .filter(|message| *viewer == Participant::Admin || !message.is_expired(now));
    let unread = pending::unread_in(db, viewer, &conversation, now)?;
    Ok(ConversationView {
        conversation,
        last_message,
        unread,
        updated_at,
    })
}

/// Row ids of the conversations that `viewer` may read, most recently updated first, after the one
/// with `before` (its time and row id).
pub(crate) fn conversations(
    db: &Connection,
    viewer: &Participant,
    before: (i64, i64),
    limit: usize,
) -> rusqlite::Result<Vec<i64>> {
    let participants = match viewer {
        Participant::Admin => vec![viewer],
        _ => vec![viewer, &Participant::All],
    };
    let mut query = db.prepare_cached(
        "SELECT updated_at, conversation FROM conversation_sides
         WHERE party = ?1 AND (updated_at, conversation) < (?2, ?3)
         ORDER BY updated_at DESC, conversation DESC LIMIT ?4",
    )?;
    let mut found: Vec<(i64, i64)> = Vec::new();
    for participant in participants {
        let parameters = params![participant, before.0, before.1, row_limit(limit)];
        for row in query.query_map(parameters, |row| Ok((row.get(0)?, row.get(1)?)))? {
            found.push(row?);
        }
    }
    found.sort_unstable_by(|one, other| other.cmp(one));
    found.truncate(limit);
    Ok(found.into_iter().map(|(_, seq)| seq).collect())
}

/// The other participants of the conversations of `participant`, without admins, who receive every
/// presence anyway.
pub(crate) fn conversation_partners(
    db: &Connection,
    participant: &Participant,
) -> rusqlite::Result<Vec<Participant>> {
    db.prepare_cached(
        "SELECT DISTINCT CASE WHEN c.one = ?1 THEN c.other ELSE c.one END AS partner
         FROM conversation_sides s JOIN conversations c ON c.seq = s.conversation
         WHERE s.party = ?1 AND c.one <> 'admin' LIMIT ?2",
    )?
    .query_map(params![participant, MAX_PARTNERS], |row| row.get(0))?
    .collect()
}
