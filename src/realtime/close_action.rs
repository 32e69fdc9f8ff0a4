//! How a connection ends.

use wallcast_core::disconnect::DisconnectReason;

/// How a connection ends.
#[derive(Debug)]
pub(super) enum CloseAction {
    /// What is queued is written, then it is closed as the dialect closes.
    End(DisconnectReason),
    /// The same, because the peer broke the protocol.
    Break { code: u16, reason: &'static str },
    /// It is dropped as it is: something is stuck half-way, or the peer is gone.
    Drop,
}

impl From<DisconnectReason> for CloseAction {
    fn from(reason: DisconnectReason) -> Self {
        Self::End(reason)
    }
}
