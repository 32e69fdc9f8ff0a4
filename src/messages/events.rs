//! The events of messages (contract section 5, seed 4's shapes), built here and nowhere else.

use serde_json::{Value, json};

use super::{Conversation, Message, Party, Seen, Status, Unread, wire};
use wallcast_core::clock::Timestamp;
use wallcast_core::event::{EventType, NewEvent, Topic};
use wallcast_core::ids::{ConversationId, MessageId, UserId};

/// `new_message` for one side. What is for all says nothing of the conversation, which each sees
/// with an `unread` of its own.
pub(super) fn new_message(
    side: &Party,
    message: &Message,
    seen: Option<&Seen>,
    now: Timestamp,
) -> NewEvent {
    let mut data = json!({ "message": wire::message(message), "timestamp": now });
    if let (Some(seen), Some(data)) = (seen, data.as_object_mut()) {
        data.insert("conversation".to_owned(), wire::conversation(seen));
    }
    NewEvent::new(EventType::NEW_MESSAGE, &data, vec![side.topic()]).expiring(message.expires_at)
}

/// `conversation_update` for one side; holds the last message, and so ends with it.
pub(super) fn conversation_update(side: &Party, seen: &Seen, now: Timestamp) -> NewEvent {
    let data = json!({ "conversation": wire::conversation(seen), "timestamp": now });
    let last = seen.last_message.as_ref();
    NewEvent::new(EventType::CONVERSATION_UPDATE, &data, vec![side.topic()])
        .expiring(last.and_then(|message| message.expires_at))
}

/// `message_status_update` for those sides.
pub(super) fn status_update(
    message: &MessageId,
    conversation: &ConversationId,
    status: Status,
    sides: &[&Party],
    now: Timestamp,
) -> NewEvent {
    let data = json!({
        "messageId": message,
        "conversationId": conversation,
        "status": status,
        "timestamp": now,
    });
    let topics = sides.iter().map(|side| side.topic()).collect();
    NewEvent::new(EventType::MESSAGE_STATUS_UPDATE, &data, topics)
}

/// `unread_count_update` for one side.
pub(super) fn unread_count_update(side: &Party, unread: &Unread, now: Timestamp) -> NewEvent {
    let mut data = wire::unread(unread);
    add_timestamp(&mut data, now);
    NewEvent::new(EventType::UNREAD_COUNT_UPDATE, &data, vec![side.topic()])
}

/// `typing` `{conversationId, from, isTyping, timestamp}` for the other side.
pub(super) fn typing(
    conversation: &Conversation,
    from: &Party,
    is_typing: bool,
    now: Timestamp,
) -> NewEvent {
    let data = json!({
        "conversationId": conversation.id,
        "from": from.to_json(),
        "isTyping": is_typing,
        "timestamp": now,
    });
    let topics = vec![conversation.other_than(from).topic()];
    NewEvent::new(EventType::TYPING, &data, topics)
}

/// `presence` for admins and for who shares a conversation with the user.
pub(super) fn presence(
    user: &UserId,
    is_online: bool,
    last_seen_at: Timestamp,
    sharers: &[Party],
    now: Timestamp,
) -> NewEvent {
    let data = json!({
        "userId": user,
        "isOnline": is_online,
        "lastSeenAt": last_seen_at,
        "timestamp": now,
    });
    let mut topics = vec![Topic::Admins];
    topics.extend(sharers.iter().map(Party::topic));
    NewEvent::new(EventType::PRESENCE, &data, topics)
}

fn add_timestamp(data: &mut Value, now: Timestamp) {
    if let Some(data) = data.as_object_mut() {
        data.insert("timestamp".to_owned(), json!(now));
    }
}
