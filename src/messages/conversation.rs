//! A conversation, and how one participant sees it.

use std::collections::BTreeMap;

use wallcast_core::clock::Timestamp;
use wallcast_core::ids::ConversationId;

use super::message::Message;
use super::participant::Participant;
use super::text::Label;
use crate::http::text_fields;

/// The fields of a conversation that never change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conversation {
    pub(crate) seq: i64,
    pub(super) id: ConversationId,
    /// Sorted, so that two participants have one conversation per platform.
    pub(super) participants: [Participant; 2],
    pub(super) platform: Label,
}

impl Conversation {
    pub(super) fn has(&self, participant: &Participant) -> bool {
        self.participants.contains(participant)
    }

    /// Whether a participant may read the conversation: its own ones and those with all. Admins may
    /// read any.
    pub(crate) fn is_readable_by(&self, participant: &Participant) -> bool {
        *participant == Participant::Admin || self.has(participant) || self.has(&Participant::All)
    }

    /// The participant who receives the messages of `sender`.
    pub(super) fn other_than(&self, sender: &Participant) -> &Participant {
        let [one, other] = &self.participants;
        if one == sender { other } else { one }
    }
}

/// A conversation as one participant sees it at one moment.
#[derive(Clone, Debug)]
pub struct ConversationView {
    pub(crate) conversation: Conversation,
    pub(super) last_message: Option<Message>,
    /// The participant's unread messages.
    pub(super) unread: u64,
    pub(crate) updated_at: Timestamp,
}

/// How many messages a participant has not read, by platform.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UnreadCounts(pub(super) BTreeMap<String, u64>);

text_fields!(ConversationId);
