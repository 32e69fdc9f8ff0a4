//! Expiry of unread messages, which changes unread counts and last messages.

use std::collections::BTreeSet;

use wallcast_core::store::WriteTx;

use super::message::Message;
use super::participant::Participant;
use super::rows;
use super::updates::{publish_conversation_update, publish_unread_counts};

/// Marks at most `at_most` unread messages that are past their expiry, and publishes new unread
/// counts and conversations to their recipients.
///
/// Returns true if one of them was to all. The caller then calls
/// [`super::publish_unread_counts_to_connected`].
pub fn expire(tx: &mut WriteTx<'_>, at_most: usize) -> rusqlite::Result<bool> {
    let expired = rows::take_expired(tx.connection(), tx.now(), at_most)?;
    let mut published = BTreeSet::new();
    for message in expired.iter().filter(|message| !message.is_to_all()) {
        let recipient: &Participant = &message.recipient;
        if published.insert((message.conversation, recipient)) {
            publish_unread_counts(tx, recipient, &message.platform)?;
            let conversation = rows::conversation_at(tx.connection(), message.conversation)?;
            publish_conversation_update(tx, &conversation, recipient)?;
        }
    }
    Ok(expired.iter().any(Message::is_to_all))
}
