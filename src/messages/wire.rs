//! A message, a conversation and unread counts as JSON (contract 6.5, seed 4).

use serde_json::{Value, json};

use super::{Message, Seen, Unread};

/// `{id, conversationId, from, to, platform, body, level, status, createdAt}`, and `expiresAt` of one
/// that has an end.
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
pub(crate) fn conversation(seen: &Seen) -> Value {
    json!({
        "id": seen.conversation.id,
        "participants": seen.conversation.sides.each_ref().map(|side| side.to_json()),
        "platform": seen.conversation.platform,
        "lastMessage": seen.last_message.as_ref().map(message),
        "unread": seen.unread,
        "updatedAt": seen.updated_at,
    })
}

/// `{unreadCounts, totalUnread}`.
pub(crate) fn unread(Unread(counts): &Unread) -> Value {
    json!({ "unreadCounts": counts, "totalUnread": counts.values().sum::<u64>() })
}
