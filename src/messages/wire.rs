//! Messages, conversations and unread counts as JSON (docs/protocol.md#messages).

use serde_json::{Value, json};

use super::conversation::{ConversationView, UnreadCounts};
use super::message::Message;

/// `{id, conversationId, from, to, platform, body, level, status, createdAt}`, and `expiresAt` if the
/// message expires.
pub(crate) fn message(message: &Message) -> Value {
    let mut json = json!({
        "id": message.id,
        "conversationId": message.conversation_id,
        "from": message.sender.to_json(),
        "to": message.recipient.to_json(),
        "platform": message.platform,
        "body": message.body,
        "level": message.level,
        "status": message.status,
        "createdAt": message.created_at,
    });
    if let (Some(at), Some(json)) = (message.expires_at, json.as_object_mut()) {
        json.insert("expiresAt".to_owned(), json!(at));
    }
    json
}

/// `{id, participants, platform, lastMessage, unread, updatedAt}`.
pub(crate) fn conversation(view: &ConversationView) -> Value {
    let participants = view.conversation.participants.each_ref();
    json!({
        "id": view.conversation.id,
        "participants": participants.map(|participant| participant.to_json()),
        "platform": view.conversation.platform,
        "lastMessage": view.last_message.as_ref().map(message),
        "unread": view.unread,
        "updatedAt": view.updated_at,
    })
}

/// `{unreadCounts, totalUnread}`.
pub(crate) fn unread(UnreadCounts(counts): &UnreadCounts) -> Value {
    json!({ "unreadCounts": counts, "totalUnread": counts.values().sum::<u64>() })
}
