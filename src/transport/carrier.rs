//! What carries a connection's frames: a WebSocket, or Engine.IO over WebSocket or polling.

use std::task::{Context, Poll};

use crate::protocol::engineio::{self, Transport};
use crate::protocol::websocket::WebSocket;
use crate::protocol::{Event, Frame};
use crate::server::Stream;

/// Frames that may wait for the peer before nothing more is read from it.
const MAX_BACKLOG: usize = 256;

/// A connection's frames, whatever carries them.
pub(super) struct Carrier {
    socket: Socket,
    /// Frames sent since everything was last with the kernel.
    backlog: usize,
}

enum Socket {
    /// JSON WebSocket.
    WebSocket(Box<WebSocket<Stream>>),
    /// Socket.IO.
    Engine(Box<engineio::Socket<Stream>>),
}

impl Carrier {
    pub(super) fn websocket(socket: WebSocket<Stream>) -> Self {
        Self {
            socket: Socket::WebSocket(Box::new(socket)),
            backlog: 0,
        }
    }

    pub(super) fn engine(socket: engineio::Socket<Stream>) -> Self {
        Self {
            socket: Socket::Engine(Box::new(socket)),
            backlog: 0,
        }
    }

    /// Reads and writes until something is to be told. Cancel safe. A peer that takes no answers,
    /// or is behind with its events, asks no more questions meanwhile (contract 4.6).
    pub(super) fn poll_event(&mut self, is_behind: bool, cx: &mut Context<'_>) -> Poll<Event> {
        let is_full = is_behind || self.backlog > MAX_BACKLOG;
        let event = match &mut self.socket {
            Socket::WebSocket(socket) => {
                socket.pause(is_full);
                socket.poll_event(cx)
            }
            Socket::Engine(socket) => {
                socket.pause(is_full);
                socket.poll_event(cx)
            }
        };
        if let Poll::Ready(Event::Flushed) = event {
            self.backlog = 0;
        }
        event
    }

    /// Whether all that was queued is with the kernel.
    pub(super) fn can_send(&self) -> bool {
        match &self.socket {
            Socket::WebSocket(socket) => socket.can_send(),
            Socket::Engine(socket) => socket.can_send(),
        }
    }

    /// Queues a frame.
    pub(super) fn send(&mut self, frame: Frame) {
        self.backlog += 1;
        match &mut self.socket {
            Socket::WebSocket(socket) => socket.send(frame),
            Socket::Engine(socket) => socket.send(frame),
        }
    }

    /// Drops what is queued and not begun; false when something is stuck half-way.
    pub(super) fn discard_unsent(&mut self) -> bool {
        match &mut self.socket {
            Socket::WebSocket(socket) => socket.discard_unsent(),
            Socket::Engine(socket) => socket.discard_unsent(),
        }
    }

    /// Takes back, from any thread, what was laid out for a poll and not fetched yet.
    pub(super) fn cutter(&self) -> Box<dyn Fn() + Send + Sync> {
        match &self.socket {
            // What a WebSocket has not written yet is with its own task, behind the gate.
            Socket::WebSocket(_) => Box::new(|| {}),
            Socket::Engine(socket) => Box::new(socket.cutter()),
        }
    }

    /// The largest message that is read from now on.
    pub(super) fn set_max_message(&mut self, bytes: usize) {
        match &mut self.socket {
            Socket::WebSocket(socket) => socket.set_max_message(bytes),
            Socket::Engine(socket) => socket.set_max_payload(bytes),
        }
    }

    /// Whether bytes that wait say something about the peer: under polling nothing is written
    /// until the peer asks, and silence is the heartbeat's matter.
    pub(super) fn can_stall(&self) -> bool {
        match &self.socket {
            Socket::WebSocket(_) => true,
            Socket::Engine(socket) => socket.transport() == Transport::WebSocket,
        }
    }

    /// Writes what is queued and closes.
    pub(super) async fn close(self, code: u16, reason: &str) {
        match self.socket {
            Socket::WebSocket(socket) => socket.close(code, reason).await,
            Socket::Engine(socket) => socket.close(code, reason).await,
        }
    }
}
