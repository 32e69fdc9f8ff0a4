//! A message and its status.

use serde::Serialize;
use serde_json::Value;
use wallcast_core::clock::Timestamp;
use wallcast_core::event::EventId;
use wallcast_core::ids::{ConversationId, MessageId};

use super::participant::Participant;
use super::text::{Body, Label};
use crate::http::{FromField, text_fields};

/// Seconds until a message expires: one second to a year.
pub(crate) const TTL: std::ops::RangeInclusive<i64> = 1..=366 * 86_400;

/// A message as one participant sees it: the status of a message to all differs between them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    pub(crate) seq: i64,
    pub(super) id: MessageId,
    /// Row id of the conversation.
    pub(crate) conversation: i64,
    pub(super) conversation_id: ConversationId,
    pub(super) sender: Participant,
    pub(super) recipient: Participant,
    pub(super) platform: Label,
    pub(super) body: Body,
    pub(super) level: Label,
    pub(super) status: MessageStatus,
    pub(super) created_at: Timestamp,
    pub(super) expires_at: Option<Timestamp>,
    /// The recipient's `new_message` event.
    pub(super) event_id: Option<EventId>,
}

impl Message {
    pub fn id(&self) -> &MessageId {
        &self.id
    }

    pub(crate) fn is_to_all(&self) -> bool {
        self.recipient == Participant::All
    }

    pub(super) fn is_expired(&self, now: Timestamp) -> bool {
        self.expires_at.is_some_and(|at| at <= now)
    }
}

/// The status of a message. It only moves forward.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum MessageStatus {
    Sent,
    Delivered,
    Read,
}

impl FromField for MessageStatus {
    fn from_field(value: Value) -> Result<Self, String> {
        match value.as_str() {
            Some("delivered") => Ok(Self::Delivered),
            Some("read") => Ok(Self::Read),
            _ => Err("must be delivered or read".into()),
        }
    }
}

text_fields!(MessageId);
