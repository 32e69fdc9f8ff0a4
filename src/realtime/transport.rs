//! The transport of a connection's frames: a WebSocket, Engine.IO over WebSocket or polling, or an event stream.
//! Every frame is queued and written here. Knows no sessions and no published events.

use std::task::{Context, Poll};

use realtime_protocol::engineio;
use realtime_protocol::sse::EventStream;
use realtime_protocol::websocket::WebSocket;
use realtime_protocol::{CloseReason, Event as TransportEvent, Frame};
use tokio::time::Instant;

use crate::net::Stream;

/// Frames that may wait for the peer. Above this nothing more is read from it.
const MAX_BACKLOG: usize = 256;

pub(super) struct Transport {
    kind: TransportKind,
    /// Frames queued since everything was last written to the kernel.
    backlog: usize,
}

enum TransportKind {
    WebSocket(Box<WebSocket<Stream>>),
    /// Socket.IO over polling or WebSocket.
    Engine(Box<engineio::Socket<Stream>>),
    Events(Box<EventStream<Stream>>),
    /// Not set yet, or taken out to be closed. Sends nothing and reports that the peer has closed.
    Detached,
}

impl Transport {
    /// The placeholder of a connection whose handshake is not answered yet.
    pub(super) fn detached() -> Self {
        Self {
            kind: TransportKind::Detached,
            backlog: 0,
        }
    }

    pub(super) fn websocket(socket: WebSocket<Stream>) -> Self {
        Self {
            kind: TransportKind::WebSocket(Box::new(socket)),
            backlog: 0,
        }
    }

    pub(super) fn engine(socket: engineio::Socket<Stream>) -> Self {
        Self {
            kind: TransportKind::Engine(Box::new(socket)),
            backlog: 0,
        }
    }

    pub(super) fn events(stream: EventStream<Stream>) -> Self {
        Self {
            kind: TransportKind::Events(Box::new(stream)),
            backlog: 0,
        }
    }

    /// Whether reading pauses: the peer does not take its replies, or a session still replays history
    /// (`docs/protocol.md#back-pressure`).
    pub(super) fn pauses_reading(&self, is_replaying: bool) -> bool {
        is_replaying || self.backlog > MAX_BACKLOG
    }

    /// Reads and writes until the transport has an event for the connection. Cancel safe. Reads nothing while
    /// [`pauses_reading`](Self::pauses_reading).
    pub(super) fn poll_event(
        &mut self,
        is_replaying: bool,
        cx: &mut Context<'_>,
    ) -> Poll<TransportEvent> {
        let is_paused = self.pauses_reading(is_replaying);
        let event = match &mut self.kind {
            TransportKind::WebSocket(socket) => {
                socket.set_paused(is_paused);
                socket.poll_event(cx)
            }
            TransportKind::Engine(socket) => {
                socket.set_paused(is_paused);
                socket.poll_event(cx)
            }
            TransportKind::Events(stream) => stream.poll_event(cx),
            TransportKind::Detached => {
                Poll::Ready(TransportEvent::Closed(CloseReason::Peer { code: None }))
            }
        };
        if let Poll::Ready(TransportEvent::Flushed) = event {
            self.backlog = 0;
        }
        event
    }

    /// When the peer last sent anything, including pongs and polls. `None` on an event stream, which only writes.
    pub(super) fn last_received(&self) -> Option<Instant> {
        match &self.kind {
            TransportKind::WebSocket(socket) => Some(socket.last_received()),
            TransportKind::Engine(socket) => Some(socket.last_received()),
            TransportKind::Events(_) | TransportKind::Detached => None,
        }
    }

    /// Whether everything queued so far has been written to the kernel, or fetched by a poll.
    pub(super) fn can_send(&self) -> bool {
        match &self.kind {
            TransportKind::WebSocket(socket) => socket.can_send(),
            TransportKind::Engine(socket) => socket.can_send(),
            TransportKind::Events(stream) => stream.can_send(),
            TransportKind::Detached => false,
        }
    }

    /// Queues a frame. It leaves with the next [`flush_now`](Self::flush_now) or
    /// [`poll_event`](Self::poll_event).
    pub(super) fn send(&mut self, frame: Frame) {
        self.backlog += 1;
        match &mut self.kind {
            TransportKind::WebSocket(socket) => socket.send(frame),
            TransportKind::Engine(socket) => socket.send(frame),
            TransportKind::Events(stream) => stream.send(frame),
            TransportKind::Detached => {}
        }
    }

    /// Writes as much of the queue as the kernel takes without waiting. True when all was written; no `Flushed`
    /// event follows then.
    pub(super) fn flush_now(&mut self) -> bool {
        let is_flushed = match &mut self.kind {
            TransportKind::WebSocket(socket) => socket.flush_now(),
            TransportKind::Engine(socket) => socket.flush_now(),
            TransportKind::Events(_) | TransportKind::Detached => false,
        };
        if is_flushed {
            self.backlog = 0;
        }
        is_flushed
    }

    /// Drops queued frames that are not partly written. False when a frame is stuck half-written.
    pub(super) fn discard_unsent(&mut self) -> bool {
        match &mut self.kind {
            TransportKind::WebSocket(socket) => socket.discard_unsent(),
            TransportKind::Engine(socket) => socket.discard_unsent(),
            TransportKind::Events(stream) => stream.discard_unsent(),
            TransportKind::Detached => true,
        }
    }

    /// Takes back frames that are ready for a long poll and not fetched yet. On the other transports unwritten
    /// frames are still queued, and the connection's task drops them.
    pub(super) fn discard_pending(&self) {
        if let TransportKind::Engine(socket) = &self.kind {
            socket.discard_unpolled();
        }
    }

    /// Sets the largest message, in bytes, that is read from now on.
    pub(super) fn set_max_message(&mut self, bytes: usize) {
        match &mut self.kind {
            TransportKind::WebSocket(socket) => socket.set_max_message(bytes),
            TransportKind::Engine(socket) => socket.set_max_payload(bytes),
            TransportKind::Events(_) | TransportKind::Detached => {}
        }
    }

    /// When the kernel last took bytes for the peer. `None` under polling, where nothing is written until the peer
    /// polls; there the Engine.IO heartbeat detects a silent peer.
    pub(super) fn last_written(&self) -> Option<Instant> {
        let stream = match &self.kind {
            TransportKind::WebSocket(socket) => socket.stream(),
            TransportKind::Engine(socket) => socket.stream()?,
            TransportKind::Events(events) => events.stream(),
            TransportKind::Detached => return None,
        };
        Some(stream.progress().last_write())
    }

    /// Takes the transport out to be closed and leaves a detached one.
    pub(super) fn take(&mut self) -> Self {
        Self {
            kind: std::mem::replace(&mut self.kind, TransportKind::Detached),
            backlog: 0,
        }
    }

    /// Writes what is queued, then closes with a code of RFC 6455 where the transport has one.
    pub(super) async fn close(self, code: u16, reason: &str) {
        match self.kind {
            TransportKind::WebSocket(socket) => socket.close(code, reason).await,
            TransportKind::Engine(socket) => socket.close(code, reason).await,
            TransportKind::Events(stream) => stream.close().await,
            TransportKind::Detached => {}
        }
    }
}
