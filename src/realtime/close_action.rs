//! How the connection's task closes the connection once its loop returns.

use wallcast_core::disconnect::DisconnectReason;

#[derive(Debug)]
pub(super) enum CloseAction {
    /// Write what is queued, then close with the reason's code and word.
    Close(DisconnectReason),
    /// The same after a protocol violation of the peer, with a code of RFC 6455.
    ProtocolError { code: u16, reason: &'static str },
    /// Drop the connection without writing: a frame is stuck half-written, or the peer is gone.
    Abort,
}

impl CloseAction {
    /// The word for the log.
    pub(super) fn reason(&self) -> &'static str {
        match self {
            Self::Close(reason) => reason.as_str(),
            Self::ProtocolError { reason, .. } => reason,
            Self::Abort => "dropped",
        }
    }
}

impl From<DisconnectReason> for CloseAction {
    fn from(reason: DisconnectReason) -> Self {
        Self::Close(reason)
    }
}
