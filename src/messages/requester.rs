//! Who makes a request about messages, and why it is refused.

use wallcast_core::audit::{self, Actor};
use wallcast_core::ids::MessageId;
use wallcast_core::store::{StoreError, WriteTx};

use super::participant::Participant;

/// The participant that makes a request, and the actor that the audit log names.
#[derive(Clone, Debug)]
pub struct Requester {
    pub participant: Participant,
    pub actor: Actor,
}

impl Requester {
    /// Adds an entry to the audit log if the requester is an admin.
    pub(super) fn record(
        &self,
        tx: &WriteTx<'_>,
        action: &str,
        message: &MessageId,
        detail: &str,
    ) -> rusqlite::Result<()> {
        match self.participant {
            Participant::Admin => {
                audit::record(tx, &self.actor, action, Some(message.as_str()), detail)
            }
            _ => Ok(()),
        }
    }

    /// The error for something that does not exist. Only admins learn that it does not.
    pub(crate) fn not_found(&self, what: &'static str) -> MessageError {
        match self.participant {
            Participant::Admin => MessageError::Unknown(what),
            _ => MessageError::Forbidden,
        }
    }
}

#[derive(Debug, thiserror::Error)]
pub enum MessageError {
    /// It belongs to others or does not exist. Tablets and people get the same error for both.
    #[error("You are not allowed to do this")]
    Forbidden,
    /// It does not exist. For admins only.
    #[error("There is no such {0}")]
    Unknown(&'static str),
    /// A field has an invalid value: its name and the error's text.
    #[error("{1}")]
    Field(&'static str, &'static str),
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<rusqlite::Error> for MessageError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Store(error.into())
    }
}
