//! Writing a message: admins to anyone, everybody else to the admins and within its conversations.

use rusqlite::Connection;

use super::{
    Asking, Body, Conversation, MAX_KEPT, Message, MessageError, Party, Status, Word, events, rows,
};
use crate::clients;
use wallcast_core::clock::Timestamp;
use wallcast_core::event::NewEvent;
use wallcast_core::ids::{ConversationId, MessageId};
use wallcast_core::store::WriteTx;

/// A message that somebody wants to be sent.
#[derive(Clone, Debug)]
pub struct Draft {
    /// Whom an admin speaks for: what came in from another platform is somebody else's word.
    pub from: Option<Party>,
    /// Who is to hear it; of an admin's messages each must say.
    pub to: Option<Party>,
    /// The conversation that it answers in, which says platform and recipient.
    pub conversation: Option<ConversationId>,
    /// Where it comes from.
    pub platform: Option<Word>,
    /// What it says.
    pub body: Body,
    /// How it is to be shown.
    pub level: Option<Word>,
    /// Seconds after which it is not given to anybody any more.
    pub ttl_seconds: Option<i64>,
}

/// Stores a message and tells both sides of it.
///
/// # Errors
/// [`MessageError`].
pub fn send(tx: &mut WriteTx<'_>, asking: &Asking, draft: Draft) -> Result<Message, MessageError> {
    let (sender, conversation) = place(tx, asking, &draft)?;
    let recipient = conversation.other_than(&sender).clone();
    let mut message = Message {
        seq: 0,
        id: MessageId::random(),
        conversation: conversation.seq,
        conversation_id: conversation.id.clone(),
        sender,
        recipient,
        platform: conversation.platform.clone(),
        body: draft.body,
        level: draft.level.unwrap_or_else(Word::info),
        status: Status::Sent,
        created_at: tx.now(),
        expires_at: draft.ttl_seconds.map(|ttl| tx.now().plus_seconds(ttl)),
        event_id: None,
    };
    message.seq = rows::insert(tx.connection(), &message)?;
    rows::trim(tx.connection(), conversation.seq, MAX_KEPT)?;
    let detail = format!(
        "{} to {} on {}",
        message.sender, message.recipient, message.platform.0
    );
    asking.record(tx, "message.send", &message.id, &detail)?;
    tell(tx, &conversation, &message)?;
    Ok(message)
}

fn tell(
    tx: &mut WriteTx<'_>,
    conversation: &Conversation,
    message: &Message,
) -> rusqlite::Result<()> {
    let now = tx.now();
    if message.recipient == Party::All {
        let event = tx.publish(events::new_message(&Party::All, message, None, now))?;
        rows::set_event(tx.connection(), message.seq, event)?;
        return tell_update(tx, conversation, &Party::Admin);
    }
    for side in [&message.recipient, &message.sender] {
        let seen = rows::seen_by(tx.connection(), side, conversation.clone(), now)?;
        let event = tx.publish(events::new_message(side, message, Some(&seen), now))?;
        if *side == message.recipient {
            rows::set_event(tx.connection(), message.seq, event)?;
            tell_unread(tx, side, &message.platform)?;
        }
        tx.publish(events::conversation_update(side, &seen, now))?;
    }
    Ok(())
}

/// Tells a side how its conversation stands now.
pub(super) fn tell_update(
    tx: &mut WriteTx<'_>,
    conversation: &Conversation,
    side: &Party,
) -> rusqlite::Result<()> {
    let seen = rows::seen_by(tx.connection(), side, conversation.clone(), tx.now())?;
    tx.publish(events::conversation_update(side, &seen, tx.now()))?;
    Ok(())
}

/// Tells a side what it has not read. Names the platform on which that changed, also at zero.
pub(super) fn tell_unread(
    tx: &mut WriteTx<'_>,
    side: &Party,
    platform: &Word,
) -> rusqlite::Result<()> {
    let mut unread = super::receipts::unread(tx.connection(), side, tx.now())?;
    unread.0.entry(platform.0.clone()).or_default();
    tx.publish(events::unread_count_update(side, &unread, tx.now()))?;
    Ok(())
}

/// Tells the other side that somebody writes, or has stopped.
///
/// # Errors
/// [`MessageError`].
pub fn typing(
    db: &Connection,
    asking: &Asking,
    id: &ConversationId,
    is_typing: bool,
    now: Timestamp,
) -> Result<NewEvent, MessageError> {
    let conversation = answerable(db, asking, id, &asking.party)?;
    Ok(events::typing(&conversation, &asking.party, is_typing, now))
}

/// Who speaks, and in which conversation, which is opened if it may be.
fn place(
    tx: &mut WriteTx<'_>,
    asking: &Asking,
    draft: &Draft,
) -> Result<(Party, Conversation), MessageError> {
    let db = tx.connection();
    let sender = sender(db, asking, draft)?;
    if let Some(id) = &draft.conversation {
        if draft.to.is_some() || draft.platform.is_some() {
            let text = "conversationId says whom and where: leave out to and platform";
            return Err(MessageError::Field("conversationId", text));
        }
        let conversation = answerable(db, asking, id, &sender)?;
        return Ok((sender, conversation));
    }
    let to = match &draft.to {
        Some(to) => to.clone(),
        None if sender == Party::Admin => {
            return Err(MessageError::Field("to", "to is required"));
        }
        None => Party::Admin,
    };
    let platform = draft.platform.clone().unwrap_or_else(Word::wallcast);
    let is_admins = asking.party == Party::Admin;
    if to == Party::All && sender != Party::Admin {
        return Err(match is_admins {
            true => MessageError::Field("from", "Only admins speak to all: leave out from"),
            false => MessageError::Forbidden,
        });
    }
    if to == sender {
        return Err(MessageError::Field("to", "to must be somebody else"));
    }
    let mut sides = [sender.clone(), to.clone()];
    sides.sort_unstable();
    if let Some(conversation) = rows::find_between(db, &sides, &platform)? {
        return Ok((sender, conversation));
    }
    let to_the_house = to == Party::Admin && platform == Word::wallcast();
    if !is_admins && !to_the_house {
        return Err(MessageError::Forbidden);
    }
    if !exists(db, &to)? {
        return Err(MessageError::Field("to", "to names no client"));
    }
    let now = tx.now();
    Ok((sender, rows::open(db, sides, platform, now)?))
}

/// Who speaks: whoever asks, or whom an admin brings a message from.
fn sender(db: &Connection, asking: &Asking, draft: &Draft) -> Result<Party, MessageError> {
    match &draft.from {
        None => Ok(asking.party.clone()),
        Some(from) if *from == asking.party => Ok(from.clone()),
        Some(_) if asking.party != Party::Admin => Err(MessageError::Forbidden),
        Some(Party::All) => Err(MessageError::Field("from", "from must be somebody")),
        Some(from) if exists(db, from)? => Ok(from.clone()),
        Some(_) => Err(MessageError::Field("from", "from names no client")),
    }
}

/// A conversation in which `sender` may write.
fn answerable(
    db: &Connection,
    asking: &Asking,
    id: &ConversationId,
    sender: &Party,
) -> Result<Conversation, MessageError> {
    let found = rows::find_conversation(db, id)?;
    let conversation = found.ok_or_else(|| asking.without("conversation"))?;
    if conversation.has(sender) {
        Ok(conversation)
    } else if asking.party == Party::Admin {
        let text = "conversationId is not a conversation of the sender's";
        Err(MessageError::Field("conversationId", text))
    } else {
        Err(MessageError::Forbidden)
    }
}

/// A person needs no account; a tablet must be one.
fn exists(db: &Connection, party: &Party) -> rusqlite::Result<bool> {
    match party {
        Party::Client(id) => Ok(clients::find(db, id)?.is_some()),
        Party::Admin | Party::All | Party::User(_) => Ok(true),
    }
}
