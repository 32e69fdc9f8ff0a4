//! The wire protocols: WebSocket, Engine.IO and Socket.IO. Knows nothing of areas, tokens or the
//! daemon.

use bytes::Bytes;
use tokio_tungstenite::tungstenite::Utf8Bytes;

#[path = "stub.rs"]
mod stub;
pub mod websocket;
pub use stub::{engineio, socketio};

/// One frame to or from a peer. Cheap to clone: the bytes are shared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Frame {
    /// Text.
    Text(Utf8Bytes),
    /// Bytes.
    Binary(Bytes),
}

/// What a socket has to say next.
#[derive(Debug, PartialEq, Eq)]
pub enum Event {
    /// A frame came in.
    Message(Frame),
    /// Everything that was queued is with the kernel.
    Flushed,
    /// Nothing more will come.
    Closed(Ended),
}

/// Why a socket ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// The peer closed it, with this code (1005: with none).
    ByPeer(u16),
    /// The connection broke.
    Gone,
    /// The peer was silent for too long.
    PingTimeout,
    /// A message was over the limit.
    TooBig,
    /// Text that is no UTF-8.
    BadUtf8,
    /// Frames that RFC 6455 forbids, or packets that Engine.IO does.
    Violation,
}

impl Ended {
    /// The code to close with, where the fault is the peer's and it should hear of it
    /// (RFC 6455 section 7.4.1).
    pub fn close_code(self) -> Option<u16> {
        match self {
            Self::TooBig => Some(1009),
            Self::BadUtf8 => Some(1007),
            Self::Violation => Some(1002),
            Self::ByPeer(_) | Self::Gone | Self::PingTimeout => None,
        }
    }
}
