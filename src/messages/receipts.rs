//! The status of messages: acknowledging, marking as read, and what is still undelivered.

use std::collections::HashMap;

use rusqlite::Connection;
use wallcast_core::clock::Timestamp;
use wallcast_core::event::{Epoch, Event, EventId, Position};
use wallcast_core::ids::MessageId;
use wallcast_core::store::{Store, StoreError, WriteTx};

use super::message::{Message, MessageStatus};
use super::participant::Participant;
use super::requester::{MessageError, Requester};
use super::updates::{publish_conversation_update, publish_unread_counts};
use super::{events, rows};

/// Messages that an acknowledgement marks as delivered in one write.
const ACK_BATCH_SIZE: usize = 200;
/// Messages that a client without a resume position receives. It can fetch older ones over HTTP.
const MAX_UNDELIVERED: usize = 100;
/// Bytes of their bodies.
const MAX_UNDELIVERED_BYTES: usize = 128 * 1024;

/// Sets the status of a message. Only its recipient may, or an admin who bridges another platform.
/// Does nothing if the message has this status or a later one already.
///
/// # Errors
/// [`MessageError`].
pub fn set_status(
    tx: &mut WriteTx<'_>,
    requester: &Requester,
    id: &MessageId,
    status: MessageStatus,
) -> Result<Message, MessageError> {
    let found = rows::find(tx.connection(), &requester.participant, id)?;
    let message = found.ok_or_else(|| requester.not_found("message"))?;
    let is_recipient = [&requester.participant, &Participant::All].contains(&&message.recipient);
    if !is_recipient && requester.participant != Participant::Admin {
        return Err(MessageError::Forbidden);
    }
    if advance(tx, &requester.participant, &message, status)? {
        let detail = format!("{status:?}").to_lowercase();
        requester.record(tx, "message.status", id, &detail)?;
    }
    Ok(rows::at(
        tx.connection(),
        &requester.participant,
        message.seq,
    )?)
}

/// Advances the status and publishes the change. Returns false if the message has this status or a
/// later one already.
fn advance(
    tx: &mut WriteTx<'_>,
    participant: &Participant,
    message: &Message,
    status: MessageStatus,
) -> rusqlite::Result<bool> {
    let db = tx.connection();
    // Every recipient of a message to all has a status of its own. The message's own status, which
    // admins see, is that of the recipient that is furthest.
    let is_one_of_all = message.recipient == Participant::All && *participant != Participant::Admin;
    let mut receivers = Vec::new();
    if is_one_of_all && rows::advance_recipient(db, message.seq, participant, status)? {
        receivers.push(participant);
    }
    if (!is_one_of_all || !receivers.is_empty()) && rows::advance(db, message.seq, status)? {
        receivers.push(&message.sender);
        if message.recipient != Participant::All {
            receivers.push(&message.recipient);
        }
    }
    if receivers.is_empty() {
        return Ok(false);
    }
    let (id, conversation) = (&message.id, &message.conversation_id);
    let now = tx.now();
    tx.publish(events::status_update(
        id,
        conversation,
        status,
        &receivers,
        now,
    ))?;
    let reader = match is_one_of_all {
        true => participant,
        false => &message.recipient,
    };
    if status == MessageStatus::Read && *reader != Participant::All {
        publish_unread_counts(tx, reader, &message.platform)?;
        let conversation = rows::conversation_at(tx.connection(), message.conversation)?;
        publish_conversation_update(tx, &conversation, reader)?;
    }
    Ok(true)
}

/// Marks a participant's messages as delivered whose events are not newer than `until`. Writes
/// nothing if there are none.
///
/// # Errors
/// The store's.
pub async fn acknowledge(
    store: &Store,
    participant: Participant,
    until: EventId,
) -> Result<(), StoreError> {
    loop {
        let reader = participant.clone();
        let any_pending = store
            .read(move |db| {
                if !rows::may_have_pending(db, &reader)? {
                    return Ok(false);
                }
                let seqs = rows::undelivered(db, &reader, Timestamp::now(), until, 1)?;
                Ok::<_, StoreError>(!seqs.is_empty())
            })
            .await?;
        if !any_pending {
            return Ok(());
        }
        let participant = participant.clone();
        store
            .write(move |tx| {
                let seqs = rows::undelivered(
                    tx.connection(),
                    &participant,
                    tx.now(),
                    until,
                    ACK_BATCH_SIZE,
                )?;
                for seq in seqs {
                    let message = rows::at(tx.connection(), &participant, seq)?;
                    advance(tx, &participant, &message, MessageStatus::Delivered)?;
                }
                Ok::<_, StoreError>(())
            })
            .await?;
    }
}

/// The `new_message` events for a client that connects without a resume position: its newest
/// undelivered messages up to the event `last`, oldest first. Events that are still in the history,
/// which begins at `oldest`, have their original ids.
pub fn undelivered(
    db: &Connection,
    participant: &Participant,
    epoch: &Epoch,
    oldest: EventId,
    last: EventId,
) -> rusqlite::Result<Vec<Event>> {
    let now = Timestamp::now();
    if !rows::may_have_pending(db, participant)? {
        return Ok(Vec::new());
    }
    let mut events = Vec::new();
    let mut views = HashMap::new();
    let mut bytes = 0;
    for seq in rows::undelivered(db, participant, now, last, MAX_UNDELIVERED)?
        .into_iter()
        .rev()
    {
        let message = rows::at(db, participant, seq)?;
        bytes += message.body.0.len();
        if bytes > MAX_UNDELIVERED_BYTES && !events.is_empty() {
            break;
        }
        let conversation = message.conversation;
        if message.recipient != Participant::All && !views.contains_key(&conversation) {
            let found = rows::conversation_at(db, conversation)?;
            views.insert(conversation, rows::view_of(db, participant, found, now)?);
        }
        let view = views.get(&conversation);
        let event = events::new_message(participant, &message, view, message.created_at);
        let position = message.event_id.filter(|id| *id >= oldest);
        let position = position.map(|id| Position {
            epoch: epoch.clone(),
            id,
        });
        events.push(match position {
            Some(position) => Event::durable(event, position, message.created_at),
            None => Event::ephemeral(event, message.created_at),
        });
    }
    events.reverse();
    Ok(events)
}
