//! What carries a connection's frames: a WebSocket, Engine.IO over WebSocket or polling, or a stream
//! of events.

use std::task::{Context, Poll};

use tokio::time::Instant;

use crate::protocol::engineio;
use crate::protocol::sse::EventStream;
use crate::protocol::websocket::WebSocket;
use crate::protocol::{Event, Frame};
use crate::server::Stream;

/// Frames that may wait for the peer before nothing more is read from it.
const MAX_BACKLOG: usize = 256;

/// A connection's frames, whatever carries them.
pub(super) struct Carrier {
    line: Line,
    /// Frames sent since everything was last with the kernel.
    backlog: usize,
}

enum Line {
    /// JSON WebSocket.
    WebSocket(Box<WebSocket<Stream>>),
    /// Socket.IO.
    Engine(Box<engineio::Socket<Stream>>),
    /// Server-sent events.
    Events(Box<EventStream<Stream>>),
}

impl Carrier {
    pub(super) fn websocket(socket: WebSocket<Stream>) -> Self {
        Self {
            line: Line::WebSocket(Box::new(socket)),
            backlog: 0,
        }
    }

    pub(super) fn engine(socket: engineio::Socket<Stream>) -> Self {
        Self {
            line: Line::Engine(Box::new(socket)),
            backlog: 0,
        }
    }

    pub(super) fn events(stream: EventStream<Stream>) -> Self {
        Self {
            line: Line::Events(Box::new(stream)),
            backlog: 0,
        }
    }

    /// Whether nothing more is asked of the peer: one that takes no answers, or is behind with its
    /// events, asks no more questions meanwhile (contract 4.6).
    pub(super) fn is_full(&self, is_behind: bool) -> bool {
        is_behind || self.backlog > MAX_BACKLOG
    }

    /// Reads and writes until something is to be told. Cancel safe. Nothing is read while it is full.
    pub(super) fn poll_event(&mut self, is_behind: bool, cx: &mut Context<'_>) -> Poll<Event> {
        let is_full = self.is_full(is_behind);
        let event = match &mut self.line {
            Line::WebSocket(socket) => {
                socket.pause(is_full);
                socket.poll_event(cx)
            }
            Line::Engine(socket) => {
                socket.pause(is_full);
                socket.poll_event(cx)
            }
            Line::Events(stream) => stream.poll_event(cx),
        };
        if let Poll::Ready(Event::Flushed) = event {
            self.backlog = 0;
        }
        event
    }

    /// When the peer last sent anything, a pong or a poll included. None on a stream of events,
    /// which has no other direction.
    pub(super) fn heard_at(&self) -> Option<Instant> {
        match &self.line {
            Line::WebSocket(socket) => Some(socket.heard_at()),
            Line::Engine(socket) => Some(socket.heard_at()),
            Line::Events(_) => None,
        }
    }

    /// Whether all that was queued is with the kernel.
    pub(super) fn can_send(&self) -> bool {
        match &self.line {
            Line::WebSocket(socket) => socket.can_send(),
            Line::Engine(socket) => socket.can_send(),
            Line::Events(stream) => stream.can_send(),
        }
    }

    /// Queues a frame.
    pub(super) fn send(&mut self, frame: Frame) {
        self.backlog += 1;
        match &mut self.line {
            Line::WebSocket(socket) => socket.send(frame),
            Line::Engine(socket) => socket.send(frame),
            Line::Events(stream) => stream.send(frame),
        }
    }

    /// Drops what is queued and not begun; false when something is stuck half-way.
    pub(super) fn discard_unsent(&mut self) -> bool {
        match &mut self.line {
            Line::WebSocket(socket) => socket.discard_unsent(),
            Line::Engine(socket) => socket.discard_unsent(),
            Line::Events(stream) => stream.discard_unsent(),
        }
    }

    /// Takes back, from any thread, what was laid out for a poll and not fetched yet.
    pub(super) fn cutter(&self) -> Box<dyn Fn() + Send + Sync> {
        match &self.line {
            // What these have not written yet is with their own task, behind the gate.
            Line::WebSocket(_) | Line::Events(_) => Box::new(|| {}),
            Line::Engine(socket) => Box::new(socket.cutter()),
        }
    }

    /// The largest message that is read from now on.
    pub(super) fn set_max_message(&mut self, bytes: usize) {
        match &mut self.line {
            Line::WebSocket(socket) => socket.set_max_message(bytes),
            Line::Engine(socket) => socket.set_max_payload(bytes),
            Line::Events(_) => {}
        }
    }

    /// When the peer last took bytes. None under polling, where nothing is written until the peer
    /// asks, and silence is the heartbeat's matter.
    pub(super) fn last_taken(&self) -> Option<Instant> {
        let stream = match &self.line {
            Line::WebSocket(socket) => socket.stream(),
            Line::Engine(socket) => socket.stream()?,
            Line::Events(events) => events.stream(),
        };
        Some(stream.progress().last())
    }

    /// Writes what is queued and closes.
    pub(super) async fn close(self, code: u16, reason: &str) {
        match self.line {
            Line::WebSocket(socket) => socket.close(code, reason).await,
            Line::Engine(socket) => socket.close(code, reason).await,
            Line::Events(stream) => stream.close().await,
        }
    }
}
