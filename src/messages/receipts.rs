//! How far messages are: what reached its recipient, what it has read, and what waits for it.

use std::collections::HashMap;

use rusqlite::Connection;

use super::send::{tell_unread, tell_update};
use super::{Asking, Message, MessageError, Party, Status, Unread, events, rows};
use crate::tokens;
use wallcast_core::clock::Timestamp;
use wallcast_core::event::{Epoch, Event, EventId, Position};
use wallcast_core::ids::MessageId;
use wallcast_core::store::{Store, StoreError, WriteTx};

/// Messages that an acknowledgement moves on in one write.
const ACKED_AT_ONCE: usize = 200;
/// Messages that a session without a position is told; older ones it finds by asking.
const MAX_TOLD: usize = 100;
/// Bytes of bodies in them.
const MAX_TOLD_BYTES: usize = 128 * 1024;

/// Sets how far a message is: its recipient does, and admins for whoever another platform tells of.
/// One that is as far already is left alone.
///
/// # Errors
/// [`MessageError`].
pub fn set_status(
    tx: &mut WriteTx<'_>,
    asking: &Asking,
    id: &MessageId,
    status: Status,
) -> Result<Message, MessageError> {
    let found = rows::find(tx.connection(), &asking.party, id)?;
    let message = found.ok_or_else(|| asking.without("message"))?;
    let is_recipient = [&asking.party, &Party::All].contains(&&message.recipient);
    if !is_recipient && asking.party != Party::Admin {
        return Err(MessageError::Forbidden);
    }
    if advance(tx, &asking.party, &message, status)? {
        let detail = format!("{status:?}").to_lowercase();
        asking.record(tx, "message.status", id, &detail)?;
    }
    Ok(rows::at(tx.connection(), &asking.party, message.seq)?)
}

/// Moves a message on and tells who has to know; false if it is as far already.
fn advance(
    tx: &mut WriteTx<'_>,
    party: &Party,
    message: &Message,
    status: Status,
) -> rusqlite::Result<bool> {
    let db = tx.connection();
    // Of a message to all each tells of itself; the admins hear of the first.
    let is_one_of_all = message.recipient == Party::All && *party != Party::Admin;
    let mut sides = Vec::new();
    if is_one_of_all && rows::advance_one(db, message.seq, party, status)? {
        sides.push(party);
    }
    if (!is_one_of_all || !sides.is_empty()) && rows::advance(db, message.seq, status)? {
        sides.push(&message.sender);
        if message.recipient != Party::All {
            sides.push(&message.recipient);
        }
    }
    if sides.is_empty() {
        return Ok(false);
    }
    let (id, conversation) = (&message.id, &message.conversation_id);
    let now = tx.now();
    tx.publish(events::status_update(id, conversation, status, &sides, now))?;
    let reader = match is_one_of_all {
        true => party,
        false => &message.recipient,
    };
    if status == Status::Read && *reader != Party::All {
        tell_unread(tx, reader, &message.platform)?;
        let conversation = rows::conversation_at(tx.connection(), message.conversation)?;
        tell_update(tx, &conversation, reader)?;
    }
    Ok(true)
}

/// Everything up to and with this event has reached `party`: so have its messages. Writes nothing
/// while none waits.
///
/// # Errors
/// The store's.
pub async fn acknowledge(store: &Store, party: Party, until: EventId) -> Result<(), StoreError> {
    loop {
        let asked = party.clone();
        let waits = store
            .read(move |db| {
                if !rows::may_wait(db, &asked)? {
                    return Ok(false);
                }
                let places = waiting(db, &asked, until, Timestamp::now(), 1)?;
                Ok::<_, StoreError>(!places.is_empty())
            })
            .await?;
        if !waits {
            return Ok(());
        }
        let party = party.clone();
        store
            .write(move |tx| {
                let places = waiting(tx.connection(), &party, until, tx.now(), ACKED_AT_ONCE)?;
                for seq in places {
                    let message = rows::at(tx.connection(), &party, seq)?;
                    advance(tx, &party, &message, Status::Delivered)?;
                }
                Ok::<_, StoreError>(())
            })
            .await?;
    }
}

/// What a session without a position is told of: the newest messages that did not reach `party`
/// yet, oldest first, with the ids of their events as far as the history from `oldest` on has them.
///
/// # Errors
/// SQLite's.
pub fn undelivered(
    db: &Connection,
    party: &Party,
    epoch: &Epoch,
    oldest: EventId,
    last: EventId,
) -> rusqlite::Result<Vec<Event>> {
    let now = Timestamp::now();
    if !rows::may_wait(db, party)? {
        return Ok(Vec::new());
    }
    let mut told = Vec::new();
    let mut seen = HashMap::new();
    let mut bytes = 0;
    for seq in waiting(db, party, last, now, MAX_TOLD)?.into_iter().rev() {
        let message = rows::at(db, party, seq)?;
        bytes += message.body.0.len();
        if bytes > MAX_TOLD_BYTES && !told.is_empty() {
            break;
        }
        let conversation = message.conversation;
        if message.recipient != Party::All && !seen.contains_key(&conversation) {
            let found = rows::conversation_at(db, conversation)?;
            seen.insert(conversation, rows::seen_by(db, party, found, now)?);
        }
        let seen = seen.get(&conversation);
        let event = events::new_message(party, &message, seen, message.created_at);
        let position = message.event_id.filter(|id| *id >= oldest);
        let position = position.map(|id| Position {
            epoch: epoch.clone(),
            id,
        });
        told.push(match position {
            Some(position) => Event::durable(event, position, message.created_at),
            None => Event::ephemeral(event, message.created_at),
        });
    }
    told.reverse();
    Ok(told)
}

fn waiting(
    db: &Connection,
    party: &Party,
    until: EventId,
    now: Timestamp,
    limit: usize,
) -> rusqlite::Result<Vec<i64>> {
    rows::undelivered(db, party, since(db, party)?, now, until, limit)
}

/// What a side has not read.
pub(crate) fn unread(db: &Connection, party: &Party, now: Timestamp) -> rusqlite::Result<Unread> {
    let mut unread = rows::unread(db, party, since(db, party)?, now)?;
    unread.0.entry("wallcast".to_owned()).or_default();
    Ok(unread)
}

/// Since when a tablet or person belongs to the house: what was said to all before was not to it.
/// None for admins, who say it, and for who has no token.
pub(super) fn since(db: &Connection, party: &Party) -> rusqlite::Result<Option<Timestamp>> {
    match party.subject() {
        Some(subject) => tokens::first_issued_at(db, &subject),
        None => Ok(None),
    }
}
