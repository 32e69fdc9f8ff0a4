//! The SQL of conversations and of who lists them.

use rusqlite::{Connection, OptionalExtension as _, Row, params};

use super::waiting;
use crate::messages::{Conversation, Party, Seen, Word};
use wallcast_core::clock::Timestamp;
use wallcast_core::ids::ConversationId;
use wallcast_core::store::row_limit;

/// People and tablets that are told of one person's presence at most.
const MAX_SHARERS: i64 = 1000;

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
pub(crate) fn find_conversation(
    db: &Connection,
    id: &ConversationId,
) -> rusqlite::Result<Option<Conversation>> {
    db.prepare_cached(&format!("{CONVERSATION} WHERE id = ?1"))?
        .query_row([id], read_conversation)
        .optional()
}

/// One conversation by its place.
pub(crate) fn conversation_at(db: &Connection, seq: i64) -> rusqlite::Result<Conversation> {
    db.prepare_cached(&format!("{CONVERSATION} WHERE seq = ?1"))?
        .query_row([seq], read_conversation)
}

/// The conversation of two sides, which come in order.
pub(crate) fn find_between(
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
pub(crate) fn open(
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
pub(crate) fn seen_by(
    db: &Connection,
    viewer: &Party,
    conversation: Conversation,
    now: Timestamp,
) -> rusqlite::Result<Seen> {
    let (last, updated_at): (Option<i64>, Timestamp) = db
        .prepare_cached("SELECT last_message, updated_at FROM conversations WHERE seq = ?1")?
        .query_row([conversation.seq], |row| Ok((row.get(0)?, row.get(1)?)))?;
    // It may be archived while the conversation is not yet.
    let last = last
        .map(|seq| super::at(db, viewer, seq).optional())
        .transpose()?;
    let last_message = last
        .flatten()
        .filter(|message| *viewer == Party::Admin || !message.is_over(now));
    let unread = waiting::unread_in(db, viewer, &conversation, now)?;
    Ok(Seen {
        conversation,
        last_message,
        unread,
        updated_at,
    })
}

/// Places of the conversations that `viewer` may look into, the newest first, before the one given.
pub(crate) fn conversations(
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
        let parameters = params![party, before.0, before.1, row_limit(limit)];
        for place in query.query_map(parameters, |row| Ok((row.get(0)?, row.get(1)?)))? {
            places.push(place?);
        }
    }
    places.sort_unstable_by(|one, other| other.cmp(one));
    places.truncate(limit);
    Ok(places.into_iter().map(|(_, seq)| seq).collect())
}

/// Who else is in a conversation with `party`; admins, who hear of everyone, left out.
pub(crate) fn sharers(db: &Connection, party: &Party) -> rusqlite::Result<Vec<Party>> {
    db.prepare_cached(
        "SELECT DISTINCT CASE WHEN c.one = ?1 THEN c.other ELSE c.one END AS sharer
         FROM conversation_sides s JOIN conversations c ON c.seq = s.conversation
         WHERE s.party = ?1 AND c.one <> 'admin' LIMIT ?2",
    )?
    .query_map(params![party, MAX_SHARERS], |row| row.get(0))?
    .collect()
}
