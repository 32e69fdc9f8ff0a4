//! Builds the events of messages and of people's presence (docs/protocol.md#event-types). No other
//! module builds them.

use serde_json::{Value, json};
use wallcast_core::clock::Timestamp;
use wallcast_core::event::{EventType, NewEvent, Topic};
use wallcast_core::ids::{ConversationId, MessageId, UserId};

use super::conversation::{Conversation, ConversationView, UnreadCounts};
use super::message::{Message, MessageStatus};
use super::participant::Participant;
use super::wire;

/// `new_message` for one participant. For a message to all, `view` is `None`: every recipient's view
/// of the conversation has its own `unread`.
pub(super) fn new_message(
    participant: &Participant,
    message: &Message,
    view: Option<&ConversationView>,
    now: Timestamp,
) -> NewEvent {
    let mut data = json!({ "message": wire::message(message), "timestamp": now });
    if let (Some(view), Some(data)) = (view, data.as_object_mut()) {
        data.insert("conversation".to_owned(), wire::conversation(view));
    }
    NewEvent::new(EventType::NEW_MESSAGE, &data, vec![participant.topic()])
        .expiring(message.expires_at)
}

/// `conversation_update` for one participant. It contains the last message, so it expires with it.
pub(super) fn conversation_update(
    participant: &Participant,
    view: &ConversationView,
    now: Timestamp,
) -> NewEvent {
    let data = json!({ "conversation": wire::conversation(view), "timestamp": now });
    let last = view.last_message.as_ref();
    NewEvent::new(
        EventType::CONVERSATION_UPDATE,
        &data,
        vec![participant.topic()],
    )
    .expiring(last.and_then(|message| message.expires_at))
}

/// `message_status_update`.
pub(super) fn status_update(
    message: &MessageId,
    conversation: &ConversationId,
    status: MessageStatus,
    participants: &[&Participant],
    now: Timestamp,
) -> NewEvent {
    let data = json!({
        "messageId": message,
        "conversationId": conversation,
        "status": status,
        "timestamp": now,
    });
    let topics = participants
        .iter()
        .map(|participant| participant.topic())
        .collect();
    NewEvent::new(EventType::MESSAGE_STATUS_UPDATE, &data, topics)
}

/// `unread_count_update` for one participant.
pub(super) fn unread_count_update(
    participant: &Participant,
    counts: &UnreadCounts,
    now: Timestamp,
) -> NewEvent {
    let mut data = wire::unread(counts);
    add_timestamp(&mut data, now);
    NewEvent::new(
        EventType::UNREAD_COUNT_UPDATE,
        &data,
        vec![participant.topic()],
    )
}

/// `typing` `{conversationId, from, isTyping, timestamp}` for the other participant.
pub(super) fn typing(
    conversation: &Conversation,
    from: &Participant,
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

/// `presence` for admins and for everyone who shares a conversation with the user.
pub(super) fn presence(
    user: &UserId,
    is_online: bool,
    last_seen_at: Timestamp,
    partners: &[Participant],
    now: Timestamp,
) -> NewEvent {
    let data = json!({
        "userId": user,
        "isOnline": is_online,
        "lastSeenAt": last_seen_at,
        "timestamp": now,
    });
    let mut topics = vec![Topic::Admins];
    topics.extend(partners.iter().map(Participant::topic));
    NewEvent::new(EventType::PRESENCE, &data, topics)
}

fn add_timestamp(data: &mut Value, now: Timestamp) {
    if let Some(data) = data.as_object_mut() {
        data.insert("timestamp".to_owned(), json!(now));
    }
}
