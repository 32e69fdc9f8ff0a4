//! WebSocket, Engine.IO, Socket.IO and server-sent events for servers built on hyper and tokio.
//!
//! [`README.md`](../README.md) contains an example server and lists what is supported, the limits, and what this crate
//! does not do.
//!
//! ```text
//! hyper request → websocket::accept → WebSocket ──┐
//! hyper request → Engine::handle    → Socket ─────┼→ poll_event → Event, send(Frame)
//! stream        → EventStream::new  → EventStream ┘        ↑
//!                                               socketio: Frame ⇄ Packet
//! ```
//!
//! The three connection types share one interface: `poll_event` drives the connection and returns an [`Event`],
//! `send` queues a [`Frame`], `can_send` and [`Event::Flushed`] report that the queue is empty. [`socketio`] is a
//! codec on top of it, without I/O. Nothing here knows sessions, namespaces or rooms of an application.
//!
//! Invariants:
//! * One task owns a connection and drives it through `poll_event`. Reading, heartbeats and upgrades happen only in
//!   there. Queued frames are also written by `flush_now`, which any holder of the connection's lock may call.
//! * A frame is encoded once. Every connection that sends it shares its bytes.
//! * All input is bounded in size, and no input panics.

pub mod engineio;
mod response_head;
pub mod socketio;
pub mod sse;
pub mod websocket;

use std::io;

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite};
pub use tokio_tungstenite::tungstenite::Utf8Bytes;

/// The byte stream below a connection: TCP, TLS, or an in-memory pipe in tests.
pub trait ByteStream: AsyncRead + AsyncWrite + Unpin + Send + 'static {}

impl<S: AsyncRead + AsyncWrite + Unpin + Send + 'static> ByteStream for S {}

/// A text or binary message. A clone shares the bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Frame {
    /// Text, valid UTF-8.
    Text(Utf8Bytes),
    /// Binary data.
    Binary(Bytes),
}

impl Frame {
    /// Creates a text frame without copying the string.
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

/// What `poll_event` returns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// The peer sent a message.
    Message(Frame),
    /// Every frame queued by `send` has been handed to the kernel, or to a poll response.
    Flushed,
    /// The connection is closed. Every further call returns the same event.
    Closed(CloseReason),
}

/// Why a connection is closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CloseReason {
    /// The peer closed the connection.
    #[error("the peer closed the connection (code {code:?})")]
    Peer {
        /// The WebSocket close code (RFC 6455 section 7.4). `None` if the close frame had none, and for
        /// Engine.IO close packets and server-sent events.
        code: Option<u16>,
    },
    /// The stream failed, or ended without a closing handshake.
    #[error("the connection failed: {0}")]
    Transport(io::ErrorKind),
    /// The peer did not reply to the heartbeat in time.
    #[error("the peer did not reply to the heartbeat in time")]
    PingTimeout,
    /// The peer violated the WebSocket or Engine.IO protocol. A WebSocket is closed with 1002.
    #[error("the peer violated the protocol")]
    Protocol,
    /// A message exceeded the size limit. A WebSocket is closed with 1009.
    #[error("the peer sent a message that exceeds the size limit")]
    MessageTooBig,
    /// A text message was not UTF-8. A WebSocket is closed with 1007.
    #[error("the peer sent text that is not UTF-8")]
    InvalidUtf8,
    /// An Engine.IO client made two GETs or two POSTs at the same time in one polling session.
    #[error("the peer made concurrent requests in one polling session")]
    ConcurrentRequests,
}

impl CloseReason {
    /// The close code to send. `None` if no close frame with this reason is due.
    fn close_code(self) -> Option<u16> {
        match self {
            Self::Protocol | Self::ConcurrentRequests => Some(1002),
            Self::InvalidUtf8 => Some(1007),
            Self::MessageTooBig => Some(1009),
            Self::Peer { .. } | Self::Transport(_) | Self::PingTimeout => None,
        }
    }
}

/// Compiles the example of the README.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct ReadmeExample;
