//! What carries a connection's frames: a WebSocket, Engine.IO over WebSocket or polling, or a stream
//! of events.

use std::task::{Context, Poll};

use tokio::time::Instant;

use crate::net::Stream;
use realtime_protocol::engineio;
use realtime_protocol::sse::EventStream;
use realtime_protocol::websocket::WebSocket;
use realtime_protocol::{CloseReason, Event, Frame};

/// Frames that may wait for the peer before nothing more is read from it.
const MAX_BACKLOG: usize = 256;

/// A connection's frames, whatever carries them.
pub(super) struct Transport {
    line: TransportKind,
    /// Frames sent since everything was last with the kernel.
    backlog: usize,
}

enum TransportKind {
    /// JSON WebSocket.
    WebSocket(Box<WebSocket<Stream>>),
    /// Socket.IO.
    Engine(Box<engineio::Socket<Stream>>),
    /// Server-sent events.
    Events(Box<EventStream<Stream>>),
    /// It is not there yet, or was taken to be closed.
    Gone,
}

impl Transport {
    /// That of a connection which is not handed over yet.
    pub(super) fn none() -> Self {
        Self {
            line: TransportKind::Gone,
            backlog: 0,
        }
    }

    pub(super) fn websocket(socket: WebSocket<Stream>) -> Self {
        Self {
            line: TransportKind::WebSocket(Box::new(socket)),
            backlog: 0,
        }
    }

    pub(super) fn engine(socket: engineio::Socket<Stream>) -> Self {
        Self {
            line: TransportKind::Engine(Box::new(socket)),
            backlog: 0,
        }
    }

    pub(super) fn events(stream: EventStream<Stream>) -> Self {
        Self {
            line: TransportKind::Events(Box::new(stream)),
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
            TransportKind::WebSocket(socket) => {
                socket.set_paused(is_full);
                socket.poll_event(cx)
            }
            TransportKind::Engine(socket) => {
                socket.set_paused(is_full);
                socket.poll_event(cx)
            }
            TransportKind::Events(stream) => stream.poll_event(cx),
            TransportKind::Gone => Poll::Ready(Event::Closed(CloseReason::Peer { code: None })),
        };
        if let Poll::Ready(Event::Flushed) = event {
            self.backlog = 0;
        }
        event
    }

    /// When the peer last sent anything, a pong or a poll included. None on a stream of events,
    /// which has no other direction.
    pub(super) fn last_received(&self) -> Option<Instant> {
        match &self.line {
            TransportKind::WebSocket(socket) => Some(socket.last_received()),
            TransportKind::Engine(socket) => Some(socket.last_received()),
            TransportKind::Events(_) | TransportKind::Gone => None,
        }
    }

    /// Whether all that was queued is with the kernel.
    pub(super) fn can_send(&self) -> bool {
        match &self.line {
            TransportKind::WebSocket(socket) => socket.can_send(),
            TransportKind::Engine(socket) => socket.can_send(),
            TransportKind::Events(stream) => stream.can_send(),
            TransportKind::Gone => false,
        }
    }

    /// Queues a frame.
    pub(super) fn send(&mut self, frame: Frame) {
        self.backlog += 1;
        match &mut self.line {
            TransportKind::WebSocket(socket) => socket.send(frame),
            TransportKind::Engine(socket) => socket.send(frame),
            TransportKind::Events(stream) => stream.send(frame),
            TransportKind::Gone => {}
        }
    }

    /// Writes what is queued as far as the peer takes it at once; true when all of it is with the
    /// kernel, and then no `Flushed` says so.
    pub(super) fn flush_now(&mut self) -> bool {
        let is_flushed = match &mut self.line {
            TransportKind::WebSocket(socket) => socket.flush_now(),
            TransportKind::Engine(socket) => socket.flush_now(),
            TransportKind::Events(_) | TransportKind::Gone => false,
        };
        if is_flushed {
            self.backlog = 0;
        }
        is_flushed
    }

    /// Drops what is queued and not begun; false when something is stuck half-way.
    pub(super) fn discard_unsent(&mut self) -> bool {
        match &mut self.line {
            TransportKind::WebSocket(socket) => socket.discard_unsent(),
            TransportKind::Engine(socket) => socket.discard_unsent(),
            TransportKind::Events(stream) => stream.discard_unsent(),
            TransportKind::Gone => true,
        }
    }

    /// Takes back what was laid out for a poll and not fetched yet. What the others have not written
    /// is still queued, and the connection's task drops it.
    pub(super) fn discard_pending(&self) {
        if let TransportKind::Engine(socket) = &self.line {
            socket.discard_unpolled();
        }
    }

    /// The largest message that is read from now on.
    pub(super) fn set_max_message(&mut self, bytes: usize) {
        match &mut self.line {
            TransportKind::WebSocket(socket) => socket.set_max_message(bytes),
            TransportKind::Engine(socket) => socket.set_max_payload(bytes),
            TransportKind::Events(_) | TransportKind::Gone => {}
        }
    }

    /// When the peer last took bytes. None under polling, where nothing is written until the peer
    /// asks, and silence is the heartbeat's matter.
    pub(super) fn last_taken(&self) -> Option<Instant> {
        let stream = match &self.line {
            TransportKind::WebSocket(socket) => socket.stream(),
            TransportKind::Engine(socket) => socket.stream()?,
            TransportKind::Events(events) => events.stream(),
            TransportKind::Gone => return None,
        };
        Some(stream.progress().last())
    }

    /// Takes it out of its place, to be closed; what is left there neither takes nor gives anything.
    pub(super) fn take(&mut self) -> Self {
        Self {
            line: std::mem::replace(&mut self.line, TransportKind::Gone),
            backlog: 0,
        }
    }

    /// Writes what is queued and closes.
    pub(super) async fn close(self, code: u16, reason: &str) {
        match self.line {
            TransportKind::WebSocket(socket) => socket.close(code, reason).await,
            TransportKind::Engine(socket) => socket.close(code, reason).await,
            TransportKind::Events(stream) => stream.close().await,
            TransportKind::Gone => {}
        }
    }
}
