//! Messages and the conversations that they make (seed 4): who may write to whom, how far a message
//! is, and what waits unread.
//!
//! A conversation is of two sides on one platform. What either side hears of it goes to that side's
//! own topic, so nobody joins or leaves anything here.

pub(crate) mod counts;
mod events;
mod expiry;
mod party;
pub mod presence;
pub(crate) mod receipts;
pub(crate) mod rows;
mod send;
pub(crate) mod wire;

use std::collections::BTreeMap;
use std::str::FromStr;

use serde::Serialize;
use serde_json::Value;

use crate::http::{FromField, text_fields};
use wallcast_core::audit::{self, Actor};
use wallcast_core::clock::Timestamp;
use wallcast_core::event::EventId;
use wallcast_core::ids::{ConversationId, MessageId};
use wallcast_core::store::{StoreError, WriteTx};

pub use counts::tell_everyone;
pub use expiry::lapse;
pub use party::Party;
pub use receipts::{acknowledge, set_status, undelivered};
pub use rows::{forget, next_lapse};
pub use send::{Draft, send, typing};

/// Characters of a body at most.
const MAX_BODY: usize = 4000;
/// Life of a message in seconds, if it has an end: a second to a year.
pub(crate) const TTL: std::ops::RangeInclusive<i64> = 1..=366 * 86_400;
/// Messages of one conversation that are kept; the oldest go first.
const MAX_KEPT: i64 = 10_000;

/// A message, as somebody sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    pub(crate) seq: i64,
    id: MessageId,
    pub(crate) conversation: i64,
    conversation_id: ConversationId,
    sender: Party,
    recipient: Party,
    platform: Word,
    body: Body,
    level: Word,
    status: Status,
    created_at: Timestamp,
    expires_at: Option<Timestamp>,
    event_id: Option<EventId>,
}

impl Message {
    /// Its id.
    pub fn id(&self) -> &MessageId {
        &self.id
    }

    pub(crate) fn is_to_all(&self) -> bool {
        self.recipient == Party::All
    }

    fn is_over(&self, now: Timestamp) -> bool {
        self.expires_at.is_some_and(|at| at <= now)
    }
}

/// A conversation without what changes in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conversation {
    pub(crate) seq: i64,
    id: ConversationId,
    /// In order, so that two sides have one conversation on a platform.
    sides: [Party; 2],
    platform: Word,
}

impl Conversation {
    fn has(&self, party: &Party) -> bool {
        self.sides.contains(party)
    }

    /// Whether a side may look into it: its own, what is for all, and admins into any.
    pub(crate) fn is_open_to(&self, party: &Party) -> bool {
        *party == Party::Admin || self.has(party) || self.has(&Party::All)
    }

    /// The side that hears what `sender` writes.
    fn other_than(&self, sender: &Party) -> &Party {
        let [one, other] = &self.sides;
        if one == sender { other } else { one }
    }
}

/// A conversation as one side sees it now.
#[derive(Clone, Debug)]
pub struct Seen {
    pub(crate) conversation: Conversation,
    last_message: Option<Message>,
    unread: u64,
    pub(crate) updated_at: Timestamp,
}

/// How many messages a side has not read, by platform.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Unread(BTreeMap<String, u64>);

/// How far a message is; it never goes back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// It is stored.
    Sent,
    /// It reached its recipient.
    Delivered,
    /// Its recipient has read it.
    Read,
}

impl FromField for Status {
    fn from_field(value: Value) -> Result<Self, String> {
        match value.as_str() {
            Some("delivered") => Ok(Self::Delivered),
            Some("read") => Ok(Self::Read),
            _ => Err("must be delivered or read".into()),
        }
    }
}

/// A platform or a level: 1 to 32 of A-Z a-z 0-9 _ . -, beginning with a letter or a digit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Word(String);

/// Text that is no such word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it has 1 to 32 of A-Z a-z 0-9 _ . - and begins with a letter or a digit")]
pub struct InvalidWord;

impl FromStr for Word {
    type Err = InvalidWord;

    fn from_str(text: &str) -> Result<Self, InvalidWord> {
        let starts_well = text.starts_with(|c: char| c.is_ascii_alphanumeric());
        let goes_on_well = text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-'));
        if starts_well && goes_on_well && text.len() <= 32 {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidWord)
        }
    }
}

impl Word {
    /// Our own platform.
    fn wallcast() -> Self {
        Self("wallcast".to_owned())
    }

    /// The level of a message that names none.
    fn info() -> Self {
        Self("info".to_owned())
    }
}

/// What a message says: 1 to 4000 characters, not all of them white, no control characters but
/// line ends and tabs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Body(String);

/// Text that cannot be a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a message has 1 to 4000 characters and no control characters but line ends and tabs")]
pub struct InvalidBody;

impl FromStr for Body {
    type Err = InvalidBody;

    fn from_str(text: &str) -> Result<Self, InvalidBody> {
        let says_something = !text.trim().is_empty() && text.chars().count() <= MAX_BODY;
        let is_text = |c: char| !c.is_control() || matches!(c, '\n' | '\r' | '\t');
        if says_something && text.chars().all(is_text) {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidBody)
        }
    }
}

text_fields!(MessageId, ConversationId, Word, Body);

/// Who asks: a side, and what the audit keeps of an admin.
#[derive(Clone, Debug)]
pub struct Asking {
    /// The side.
    pub party: Party,
    /// Who that is, and from where.
    pub actor: Actor,
}

impl Asking {
    /// Keeps the act if an admin's.
    fn record(
        &self,
        tx: &WriteTx<'_>,
        action: &str,
        message: &MessageId,
        detail: &str,
    ) -> rusqlite::Result<()> {
        match self.party {
            Party::Admin => audit::record(tx, &self.actor, action, Some(message.as_str()), detail),
            _ => Ok(()),
        }
    }

    /// The refusal of a thing that is not there: only admins learn of that.
    pub(crate) fn without(&self, what: &'static str) -> MessageError {
        match self.party {
            Party::Admin => MessageError::Unknown(what),
            _ => MessageError::Forbidden,
        }
    }
}

/// Why a wish was refused.
#[derive(Debug, thiserror::Error)]
pub enum MessageError {
    /// It is not the asker's, or not there: nothing tells which.
    #[error("You may not do this")]
    Forbidden,
    /// It is not there; told to admins alone.
    #[error("There is no such {0}")]
    Unknown(&'static str),
    /// A field says what cannot be.
    #[error("{1}")]
    Field(&'static str, &'static str),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<rusqlite::Error> for MessageError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Store(error.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_and_bodies_are_bounded() {
        for good in ["wallcast", "WhatsApp", "x", "a-b_c.9", &"x".repeat(32)] {
            assert!(good.parse::<Word>().is_ok(), "{good}");
        }
        for bad in ["", "-x", "a b", "ä", &"x".repeat(33)] {
            assert!(bad.parse::<Word>().is_err(), "{bad}");
        }
        for good in ["x", "one\ntwo\tthree", &"ü".repeat(4000)] {
            assert!(good.parse::<Body>().is_ok(), "{good}");
        }
        for bad in ["", " \n ", "a\u{7}", &"x".repeat(4001)] {
            assert!(bad.parse::<Body>().is_err(), "{bad}");
        }
    }
}
