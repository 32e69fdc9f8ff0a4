//! The server side of WebSocket (RFC 6455) over any async stream. It spawns no tasks and supports no extensions.
//!
//! tungstenite implements the protocol. This module drives it by `poll_event`, and adds batched writes, back-pressure,
//! a keepalive, a timeout of the closing handshake, and limits that can change while the connection is open.

mod closing;
mod handshake;
mod keepalive;
mod stream;

use std::collections::VecDeque;
use std::future::poll_fn;
use std::io;
use std::mem;
use std::task::{Context, Poll};

use bytes::Bytes;
use hyper::http::response::Parts;
use tokio::time::Instant;
use tokio_tungstenite::tungstenite;
use tungstenite::error::ProtocolError;
use tungstenite::protocol::frame::coding::{Data, OpCode};
use tungstenite::protocol::{Role, WebSocketConfig};
use tungstenite::{Error, Message};

use self::closing::Closing;
pub use self::handshake::{
    HandshakeError, UpgradeError, UpgradeFuture, accept, handshake_response, is_upgrade,
};
pub use self::keepalive::Keepalive;
use self::keepalive::{KeepaliveAction, KeepaliveTimer};
use self::stream::NonBlockingStream;
use super::{ByteStream, CloseReason, Event, Frame, response_head};

/// Initial size of the read buffer. Every connection allocates it, so it is small.
const READ_BUFFER: usize = 512;

/// Queued frames are combined to writes of about this many bytes: one record each under TLS.
const BATCH: usize = 4096;

/// The maximum header size of an unmasked frame (RFC 6455 section 5.2).
const MAX_HEADER: usize = 10;

/// The maximum payload size of a control frame (RFC 6455 section 5.5). It is allowed whatever the message limit.
const MAX_CONTROL: usize = 125;

/// The initial limits of a [`WebSocket`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The maximum size of a message in bytes, summed over its fragments. A longer one closes the connection
    /// with 1009.
    pub max_message: usize,
    /// WebSocket pings. `None` if the protocol above has its own heartbeat.
    pub keepalive: Option<Keepalive>,
}

impl Default for Limits {
    /// 64 KiB and the default [`Keepalive`].
    fn default() -> Self {
        Self {
            max_message: 64 * 1024,
            keepalive: Some(Keepalive::default()),
        }
    }
}

/// The server's end of a WebSocket.
///
/// One task owns it and must keep calling [`poll_event`](Self::poll_event) or [`event`](Self::event): reading,
/// writing, pongs and the closing handshake all happen in there.
pub struct WebSocket<S> {
    core: tungstenite::WebSocket<NonBlockingStream<S>>,
    queue: VecDeque<Frame>,
    queued_bytes: usize,
    /// `core` or the stream holds bytes that the kernel has not accepted.
    unflushed: bool,
    /// An [`Event::Flushed`] is due when everything is written.
    flushed_event_due: bool,
    /// A pong cannot be written because the connection is full. Reading stops until then, since every further
    /// ping would add another pong.
    pong_blocked: bool,
    paused: bool,
    /// The last read of `core` returned `WouldBlock`: it needs new bytes.
    read_would_block: bool,
    keepalive: Option<KeepaliveTimer>,
    last_received: Instant,
    closing: Option<Box<Closing>>,
    closed: Option<CloseReason>,
}

impl<S: ByteStream> WebSocket<S> {
    /// Creates a WebSocket on a stream whose opening handshake is complete. `read_ahead` holds the bytes that
    /// were already read after the request.
    pub fn new(stream: S, read_ahead: Bytes, limits: Limits) -> Self {
        let config = WebSocketConfig::default()
            .read_buffer_size(READ_BUFFER)
            // Pings, pongs and close frames are written only by a flush.
            .write_buffer_size(usize::MAX - 1)
            .max_message_size(Some(limits.max_message))
            .max_frame_size(Some(limits.max_message.max(MAX_CONTROL)));
        let stream = NonBlockingStream::new(stream);
        let role = Role::Server;
        Self {
            core: tungstenite::WebSocket::from_partially_read(
                stream,
                // Copied, because `into` would keep all of hyper's buffer alive, even if it is empty.
                read_ahead.to_vec(),
                role,
                Some(config),
            ),
            queue: VecDeque::new(),
            queued_bytes: 0,
            unflushed: false,
            flushed_event_due: false,
            pong_blocked: false,
            paused: false,
            read_would_block: false,
            keepalive: limits.keepalive.map(KeepaliveTimer::start),
            last_received: Instant::now(),
            closing: None,
            closed: None,
        }
    }

    /// Creates a WebSocket on a stream whose 101 response has not been sent.
    ///
    /// `head` is the response of [`handshake_response`]; it is sent with the first frames. `read_ahead` holds the
    /// bytes that were already read after the request.
    pub fn with_pending_response(
        stream: S,
        head: &Parts,
        read_ahead: Bytes,
        limits: Limits,
    ) -> Self {
        let mut socket = Self::new(stream, read_ahead, limits);
        socket.core.get_mut().prepend(response_head::encode(head));
        socket.flushed_event_due = true;
        socket
    }

    /// Waits for the next event. Cancel safe: dropping the future loses no data.
    pub async fn event(&mut self) -> Event {
        poll_fn(|cx| self.poll_event(cx)).await
    }

    /// Drives the connection until there is an event: reads, writes queued frames, replies to pings, sends
    /// pings, and completes the closing handshake. After [`Event::Closed`] every further call returns the same
    /// event.
    pub fn poll_event(&mut self, cx: &mut Context<'_>) -> Poll<Event> {
        self.core.get_mut().set_waker(cx.waker());
        loop {
            if let Some(reason) = self.closed {
                return Poll::Ready(Event::Closed(reason));
            }
            let step = match self.closing.take() {
                Some(closing) => self.poll_closing(closing, cx),
                None => self.poll_open(cx),
            };
            match std::task::ready!(step) {
                Ok(event) => return Poll::Ready(event),
                Err(reason) => self.fail(reason),
            }
        }
    }

    /// The underlying stream.
    pub fn stream(&self) -> &S {
        self.core.get_ref().get_ref()
    }

    /// When the peer last sent anything, including pongs.
    pub fn last_received(&self) -> Instant {
        self.last_received
    }

    /// Whether every queued frame has been handed to the kernel.
    pub fn can_send(&self) -> bool {
        self.queue.is_empty() && !self.core.get_ref().has_unwritten() && !self.unflushed
    }

    /// Queues a message, which `poll_event` writes. The queue is unbounded: wait for
    /// [`can_send`](Self::can_send) or [`Event::Flushed`] to bound it. Ignored after the connection is closed.
    pub fn send(&mut self, frame: Frame) {
        if self.closed.is_none() {
            self.queued_bytes += frame.len();
            self.queue.push_back(frame);
            self.flushed_event_due = true;
        }
    }

    /// Writes as much of the queue as the kernel accepts without blocking. Returns true if the queue is now
    /// empty; in that case no [`Event::Flushed`] follows. Otherwise `poll_event` writes the rest, and it
    /// reports errors.
    pub fn flush_now(&mut self) -> bool {
        if self.closed.is_some() || self.closing.is_some() {
            return false;
        }
        match self.write_queue() {
            Ok(Poll::Ready(())) => {
                self.flushed_event_due = false;
                true
            }
            Ok(Poll::Pending) => false,
            Err(reason) => {
                self.fail(reason);
                false
            }
        }
    }

    /// Drops every queued frame that has not been written in part. Returns false if bytes remain in the
    /// connection's buffers; only dropping the WebSocket discards those.
    pub fn discard_unsent(&mut self) -> bool {
        self.retain_unsent(|_| false)
    }

    /// Like [`discard_unsent`](Self::discard_unsent), except for the frames for which `keep` returns true.
    pub(crate) fn retain_unsent(&mut self, keep: impl Fn(&Frame) -> bool) -> bool {
        self.queue.retain(keep);
        self.queued_bytes = self.queue.iter().map(Frame::len).sum();
        !self.unflushed
    }

    /// Sets the maximum size of a message in bytes, see [`Limits::max_message`].
    pub fn set_max_message(&mut self, bytes: usize) {
        self.core.set_config(|config| {
            config.max_message_size = Some(bytes);
            config.max_frame_size = Some(bytes.max(MAX_CONTROL));
        });
    }

    /// While paused, `poll_event` writes but does not read, and the keepalive timeout does not run.
    pub fn set_paused(&mut self, paused: bool) {
        if self.paused && !paused {
            self.record_received();
        }
        self.paused = paused;
    }

    /// Sends the queued frames and a close frame, then waits for the peer to close the connection. Takes at most
    /// two seconds.
    ///
    /// If an endpoint must not send `code` (RFC 6455 section 7.4), 1000 is sent instead. `reason` is truncated to
    /// 123 bytes.
    pub async fn close(mut self, code: u16, reason: &str) {
        self.start_close(code, reason, CloseReason::Peer { code: None });
        while !matches!(self.event().await, Event::Closed(_)) {}
    }

    /// `poll_event` before the closing handshake. An error starts it.
    fn poll_open(&mut self, cx: &mut Context<'_>) -> Poll<Result<Event, CloseReason>> {
        self.poll_keepalive(cx)?;
        loop {
            // Reading has priority, so that the replies to a burst share one write. A full batch is still
            // written first, so that a peer which sends without pause does not stop the writing.
            if self.queued_bytes >= BATCH || self.core.get_ref().has_unwritten() {
                let _ = self.write_queue()?;
            }
            if let Poll::Ready(frame) = self.poll_read()? {
                return Poll::Ready(Ok(Event::Message(frame)));
            }
            let was_pong_blocked = self.pong_blocked;
            if self.write_queue()?.is_pending() {
                // Even if only a ping is blocked: `can_send` is false, so its users need an event.
                self.flushed_event_due = true;
                return Poll::Pending;
            }
            if mem::take(&mut self.flushed_event_due) {
                return Poll::Ready(Ok(Event::Flushed));
            }
            // If a pong was blocked, reading stopped before it reached `WouldBlock`, so no wakeup would come.
            if !was_pong_blocked {
                return Poll::Pending;
            }
        }
    }

    fn poll_keepalive(&mut self, cx: &mut Context<'_>) -> Result<(), CloseReason> {
        let is_reading = !self.paused && !self.pong_blocked;
        while let Some(Poll::Ready(action)) = self
            .keepalive
            .as_mut()
            .map(|keepalive| keepalive.poll(is_reading, cx))
        {
            match action {
                KeepaliveAction::TimedOut => return Err(CloseReason::PingTimeout),
                KeepaliveAction::SendPing => self.write(Message::Ping(Bytes::new()))?,
            }
        }
        Ok(())
    }

    fn poll_read(&mut self) -> Poll<Result<Frame, CloseReason>> {
        while !self.paused && !self.pong_blocked {
            // `core.read` clears its buffer before it finds that there is nothing to read. A connection that
            // only sends would pay for that at every wakeup.
            if self.read_would_block && !self.core.get_mut().is_readable() {
                break;
            }
            let message = match self.core.read() {
                Err(error) if would_block(&error) => {
                    self.read_would_block = true;
                    continue;
                }
                other => other.map_err(close_reason)?,
            };
            self.read_would_block = false;
            self.last_received = Instant::now();
            self.record_received();
            match message {
                Message::Text(text) => return Poll::Ready(Ok(Frame::Text(text))),
                Message::Binary(bytes) => return Poll::Ready(Ok(Frame::Binary(bytes))),
                Message::Close(frame) => {
                    let code = frame.map(|frame| frame.code.into());
                    return Poll::Ready(Err(CloseReason::Peer { code }));
                }
                Message::Ping(_) => {
                    self.unflushed = true;
                    self.pong_blocked = self.flush()?.is_pending();
                }
                Message::Pong(_) | Message::Frame(_) => {}
            }
        }
        Poll::Pending
    }

    /// Writes the queue in batches. Ready when the kernel has all of it.
    fn write_queue(&mut self) -> Result<Poll<()>, CloseReason> {
        loop {
            if self.unflushed && self.flush()?.is_pending() {
                return Ok(Poll::Pending);
            }
            if self.queue.is_empty() && !self.core.get_ref().has_unwritten() {
                // An idle connection holds no queue memory.
                self.queue = VecDeque::new();
                return Ok(Poll::Ready(()));
            }
            let batch = self.next_batch().map_err(close_reason)?;
            self.unflushed = true;
            let written = self.core.get_mut().write_batch(batch);
            written.map_err(|error| CloseReason::Transport(error.kind()))?;
        }
    }

    /// Encodes the next queued frames. They bypass `core`, which has nothing to write at this point and would
    /// copy them into a buffer that it never frees.
    fn next_batch(&mut self) -> tungstenite::Result<Vec<u8>> {
        let mut batch = Vec::with_capacity(self.queued_bytes.min(BATCH) + MAX_HEADER);
        while batch.len() < BATCH
            && let Some(frame) = self.queue.pop_front()
        {
            self.queued_bytes -= frame.len();
            let (data, payload) = match frame {
                Frame::Text(text) => (Data::Text, text.into()),
                Frame::Binary(bytes) => (Data::Binary, bytes),
            };
            let message =
                tungstenite::protocol::frame::Frame::message(payload, OpCode::Data(data), true);
            message.format(&mut batch)?;
        }
        Ok(batch)
    }

    fn write(&mut self, message: Message) -> Result<(), CloseReason> {
        self.unflushed = true;
        match self.core.write(message) {
            Err(error) if !would_block(&error) => Err(close_reason(error)),
            _ => Ok(()),
        }
    }

    fn flush(&mut self) -> Result<Poll<()>, CloseReason> {
        match self.core.flush() {
            Ok(()) => {
                self.unflushed = false;
                self.pong_blocked = false;
                Ok(Poll::Ready(()))
            }
            Err(error) if would_block(&error) => Ok(Poll::Pending),
            Err(error) => Err(close_reason(error)),
        }
    }

    fn record_received(&mut self) {
        if let Some(keepalive) = &mut self.keepalive {
            keepalive.record_received();
        }
    }
}

fn would_block(error: &Error) -> bool {
    matches!(error, Error::Io(error) if error.kind() == io::ErrorKind::WouldBlock)
}

fn close_reason(error: Error) -> CloseReason {
    match error {
        Error::Io(error) => CloseReason::Transport(error.kind()),
        Error::Protocol(ProtocolError::ResetWithoutClosingHandshake) => {
            CloseReason::Transport(io::ErrorKind::UnexpectedEof)
        }
        Error::ConnectionClosed | Error::AlreadyClosed => CloseReason::Peer { code: None },
        Error::Capacity(_) => CloseReason::MessageTooBig,
        Error::Utf8(_) => CloseReason::InvalidUtf8,
        _ => CloseReason::Protocol,
    }
}
