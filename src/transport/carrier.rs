//! What carries a connection's frames: a WebSocket, or Engine.IO over WebSocket or polling.

use std::task::{Context, Poll};

use crate::protocol::engineio::{self, Transport};
use crate::protocol::websocket::WebSocket;
use crate::protocol::{Event, Frame};
use crate::server::Stream;

/// A connection's frames, whatever carries them.
pub(super) enum Carrier {
    /// JSON WebSocket.
    WebSocket(Box<WebSocket<Stream>>),
    /// Socket.IO.
    Engine(Box<engineio::Socket<Stream>>),
}

impl Carrier {
    /// Reads and writes until something is to be told. Cancel safe.
    pub(super) fn poll_event(&mut self, cx: &mut Context<'_>) -> Poll<Event> {
        match self {
            Self::WebSocket(socket) => socket.poll_event(cx),
            Self::Engine(socket) => socket.poll_event(cx),
        }
    }

    /// Whether all that was queued is with the kernel.
    pub(super) fn can_send(&self) -> bool {
        match self {
            Self::WebSocket(socket) => socket.can_send(),
            Self::Engine(socket) => socket.can_send(),
        }
    }

    /// Queues a frame.
    pub(super) fn send(&mut self, frame: Frame) {
        match self {
            Self::WebSocket(socket) => socket.send(frame),
            Self::Engine(socket) => socket.send(frame),
        }
    }

    /// Drops what is queued and not begun; false when something is stuck half-way.
    pub(super) fn discard_unsent(&mut self) -> bool {
        match self {
            Self::WebSocket(socket) => socket.discard_unsent(),
            Self::Engine(socket) => socket.discard_unsent(),
        }
    }

    /// The largest message that is read from now on.
    pub(super) fn set_max_message(&mut self, bytes: usize) {
        match self {
            Self::WebSocket(socket) => socket.set_max_message(bytes),
            Self::Engine(socket) => socket.set_max_payload(bytes),
        }
    }

    /// Whether bytes that wait say something about the peer: under polling nothing is written
    /// until the peer asks, and silence is the heartbeat's matter.
    pub(super) fn can_stall(&self) -> bool {
        match self {
            Self::WebSocket(_) => true,
            Self::Engine(socket) => socket.transport() == Transport::WebSocket,
        }
    }

    /// Writes what is queued and closes.
    pub(super) async fn close(self, code: u16, reason: &str) {
        match self {
            Self::WebSocket(socket) => socket.close(code, reason).await,
            Self::Engine(socket) => socket.close(code, reason).await,
        }
    }
}
