//! Sending messages. Admins write to anyone; tablets and people write to admins and in their own
//! conversations.

use rusqlite::Connection;
use wallcast_core::clock::Timestamp;
use wallcast_core::event::NewEvent;
use wallcast_core::ids::{ConversationId, MessageId};
use wallcast_core::store::WriteTx;

use super::conversation::Conversation;
use super::message::{Message, MessageStatus};
use super::participant::Participant;
use super::requester::{MessageError, Requester};
use super::text::{Body, Label};
use super::updates::{publish_conversation_update, publish_unread_counts};
use super::{events, rows};
use crate::clients;

/// Messages kept in one conversation. The oldest are deleted first.
const MAX_KEPT: i64 = 10_000;

/// A message to send.
#[derive(Clone, Debug)]
pub struct NewMessage {
    /// On whose behalf an admin sends it, such as a person on another platform.
    pub from: Option<Participant>,
    /// The recipient. Required from admins, unless `conversation` is given.
    pub to: Option<Participant>,
    /// The conversation to reply in, which determines platform and recipient.
    pub conversation: Option<ConversationId>,
    pub platform: Option<Label>,
    pub body: Body,
    pub level: Option<Label>,
    /// Seconds until the message expires and is no longer delivered.
    pub ttl_seconds: Option<i64>,
}

/// Stores a message and publishes it to both participants.
///
/// # Errors
/// [`MessageError`].
pub fn send(
    tx: &mut WriteTx<'_>,
    requester: &Requester,
    new: NewMessage,
) -> Result<Message, MessageError> {
    let (sender, conversation) = resolve_conversation(tx, requester, &new)?;
    let recipient = conversation.other_than(&sender).clone();
    let mut message = Message {
        seq: 0,
        id: MessageId::random(),
        conversation: conversation.seq,
        conversation_id: conversation.id.clone(),
        sender,
        recipient,
        platform: conversation.platform.clone(),
        body: new.body,
        level: new.level.unwrap_or_else(Label::info),
        status: MessageStatus::Sent,
        created_at: tx.now(),
        expires_at: new.ttl_seconds.map(|ttl| tx.now().plus_seconds(ttl)),
        event_id: None,
    };
    message.seq = rows::insert(tx.connection(), &message)?;
    rows::trim(tx.connection(), conversation.seq, MAX_KEPT)?;
    let detail = format!(
        "{} to {} on {}",
        message.sender, message.recipient, message.platform.0
    );
    requester.record(tx, "message.send", &message.id, &detail)?;
    publish(tx, &conversation, &message)?;
    Ok(message)
}

fn publish(
    tx: &mut WriteTx<'_>,
    conversation: &Conversation,
    message: &Message,
) -> rusqlite::Result<()> {
    let now = tx.now();
    if message.recipient == Participant::All {
        let event = tx.publish(events::new_message(&Participant::All, message, None, now))?;
        rows::set_event(tx.connection(), message.seq, event)?;
        return publish_conversation_update(tx, conversation, &Participant::Admin);
    }
    for participant in [&message.recipient, &message.sender] {
        let view = rows::view_of(tx.connection(), participant, conversation.clone(), now)?;
        let event = tx.publish(events::new_message(participant, message, Some(&view), now))?;
        if *participant == message.recipient {
            rows::set_event(tx.connection(), message.seq, event)?;
            publish_unread_counts(tx, participant, &message.platform)?;
        }
        tx.publish(events::conversation_update(participant, &view, now))?;
    }
    Ok(())
}

/// The `typing` event for the other participant.
///
/// # Errors
/// [`MessageError`].
pub fn typing(
    db: &Connection,
    requester: &Requester,
    id: &ConversationId,
    is_typing: bool,
    now: Timestamp,
) -> Result<NewEvent, MessageError> {
    let conversation = writable_conversation(db, requester, id, &requester.participant)?;
    Ok(events::typing(
        &conversation,
        &requester.participant,
        is_typing,
        now,
    ))
}

/// The sender and the conversation of a new message. Creates the conversation if there is none and
/// the requester may start it.
fn resolve_conversation(
    tx: &mut WriteTx<'_>,
    requester: &Requester,
    new: &NewMessage,
) -> Result<(Participant, Conversation), MessageError> {
    let db = tx.connection();
    let sender = sender(db, requester, new)?;
    if let Some(id) = &new.conversation {
        if new.to.is_some() || new.platform.is_some() {
            let text = "`conversationId` cannot be combined with `to` or `platform`";
            return Err(MessageError::Field("conversationId", text));
        }
        let conversation = writable_conversation(db, requester, id, &sender)?;
        return Ok((sender, conversation));
    }
    let to = match &new.to {
        Some(to) => to.clone(),
        None if sender == Participant::Admin => {
            return Err(MessageError::Field("to", "`to` is required"));
        }
        None => Participant::Admin,
    };
    let platform = new.platform.clone().unwrap_or_else(Label::wallcast);
    let is_admin = requester.participant == Participant::Admin;
    if to == Participant::All && sender != Participant::Admin {
        return Err(match is_admin {
            true => MessageError::Field(
                "from",
                "`from` must be left out in a message to all: only admins can send one",
            ),
            false => MessageError::Forbidden,
        });
    }
    if to == sender {
        return Err(MessageError::Field("to", "`to` must not be the sender"));
    }
    let mut participants = [sender.clone(), to.clone()];
    participants.sort_unstable();
    if let Some(conversation) = rows::find_between(db, &participants, &platform)? {
        return Ok((sender, conversation));
    }
    let is_to_wallcast = to == Participant::Admin && platform == Label::wallcast();
    if !is_admin && !is_to_wallcast {
        return Err(MessageError::Forbidden);
    }
    if !exists(db, &to)? {
        return Err(MessageError::Field("to", "`to` must be an existing client"));
    }
    let now = tx.now();
    Ok((
        sender,
        rows::create_conversation(db, participants, platform, now)?,
    ))
}

/// The sender: the requester, or on an admin's request the participant in `from`.
fn sender(
    db: &Connection,
    requester: &Requester,
    new: &NewMessage,
) -> Result<Participant, MessageError> {
    match &new.from {
        None => Ok(requester.participant.clone()),
        Some(from) if *from == requester.participant => Ok(from.clone()),
        Some(_) if requester.participant != Participant::Admin => Err(MessageError::Forbidden),
        Some(Participant::All) => Err(MessageError::Field(
            "from",
            "`from` must be one client or user",
        )),
        Some(from) if exists(db, from)? => Ok(from.clone()),
        Some(_) => Err(MessageError::Field(
            "from",
            "`from` must be an existing client",
        )),
    }
}

/// A conversation in which `sender` may write.
fn writable_conversation(
    db: &Connection,
    requester: &Requester,
    id: &ConversationId,
    sender: &Participant,
) -> Result<Conversation, MessageError> {
    let found = rows::find_conversation(db, id)?;
    let conversation = found.ok_or_else(|| requester.not_found("conversation"))?;
    if conversation.has(sender) {
        Ok(conversation)
    } else if requester.participant == Participant::Admin {
        let text = "`conversationId` must be a conversation of the sender";
        Err(MessageError::Field("conversationId", text))
    } else {
        Err(MessageError::Forbidden)
    }
}

/// Clients must exist. People need no account.
fn exists(db: &Connection, participant: &Participant) -> rusqlite::Result<bool> {
    match participant {
        Participant::Client(id) => Ok(clients::find(db, id)?.is_some()),
        Participant::Admin | Participant::All | Participant::User(_) => Ok(true),
    }
}
