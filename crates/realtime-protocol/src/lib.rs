//! The wire protocols: WebSocket, Engine.IO, Socket.IO and server-sent events, as frames and events; knows nothing of areas, tokens or the daemon.
//!
//! ```text
//! hyper request → websocket::accept → WebSocket ─┐
//!                                                ├→ poll_event → Event, send(Frame)
//! hyper request → Engine::handle  → Socket ──────┤        ↑
//! its stream    → EventStream::new ──────────────┘        │
//!                                             socketio: Frame ⇄ Packet
//! ```
//!
//! Invariants:
//! * One task owns a socket and drives it through `poll_event`: reading, heartbeat and upgrade happen in there. What is
//!   queued is written there as well, or by `flush_now`, which whoever holds the socket's lock may call.
//! * A frame is encoded once and its bytes are shared by every socket that sends it.
//! * Whatever a peer may send is bounded, and nothing it sends can panic.

pub mod engineio;
mod head;
pub mod socketio;
pub mod sse;
pub mod websocket;

use std::io;

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite};
pub use tokio_tungstenite::tungstenite::Utf8Bytes;

/// The connection below a socket: TCP, TLS, or a pipe in tests.
pub trait ByteStream: AsyncRead + AsyncWrite + Unpin + Send + 'static {}

impl<S: AsyncRead + AsyncWrite + Unpin + Send + 'static> ByteStream for S {}

/// One frame to or from a peer. A clone shares the bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Frame {
    /// A text frame, valid UTF-8.
    Text(Utf8Bytes),
    /// A binary frame.
    Binary(Bytes),
}

impl Frame {
    /// A text frame of this string, without copying it.
    pub fn text(text: impl Into<Utf8Bytes>) -> Self {
        Self::Text(text.into())
    }

    /// The payload's length in bytes.
    pub fn len(&self) -> usize {
        match self {
            Self::Text(text) => text.len(),
            Self::Binary(bytes) => bytes.len(),
        }
    }

    /// Whether the payload has no bytes.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// What a socket has to say next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// The peer sent this.
    Message(Frame),
    /// All that was queued by `send` has left: it is with the kernel, or with the client's poll.
    Flushed,
    /// The socket is over; said again on each further call.
    Closed(Ended),
}

/// Why a socket is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Ended {
    /// The peer closed it, with this WebSocket close code if it gave one.
    #[error("the peer closed the connection (code {code:?})")]
    Peer {
        /// The close code, RFC 6455 section 7.4; none from a bare close or an Engine.IO close packet.
        code: Option<u16>,
    },
    /// The connection broke without a goodbye.
    #[error("the connection broke: {0}")]
    Transport(io::ErrorKind),
    /// The peer was silent for longer than the heartbeat allows.
    #[error("the peer did not answer the heartbeat in time")]
    PingTimeout,
    /// The peer broke the rules of WebSocket (closed with 1002) or Engine.IO.
    #[error("the peer broke the protocol")]
    Protocol,
    /// A message was longer than the limit (closed with 1009).
    #[error("the peer sent a message over the limit")]
    TooBig,
    /// A text message was not UTF-8 (closed with 1007).
    #[error("the peer sent text that is not UTF-8")]
    BadUtf8,
    /// Two polls, or two pushes, at the same time on one polling session.
    #[error("the peer made two requests of a kind at once on one session")]
    Duplicate,
}

impl Ended {
    /// The close code to tell the peer, when it is ours to tell.
    fn close_code(self) -> Option<u16> {
        match self {
            Self::Protocol | Self::Duplicate => Some(1002),
            Self::BadUtf8 => Some(1007),
            Self::TooBig => Some(1009),
            Self::Peer { .. } | Self::Transport(_) | Self::PingTimeout => None,
        }
    }
}
