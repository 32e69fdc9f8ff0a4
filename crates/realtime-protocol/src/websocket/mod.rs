//! WebSocket (RFC 6455) over any async stream, for one task at a time; never spawns, never blocks, offers no extension.

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
pub use self::handshake::{HandshakeError, UpgradeError, Upgrading, accept, answer, is_upgrade};
pub use self::keepalive::Keepalive;
use self::keepalive::{Clock, Due};
use self::stream::Polled;
use super::{ByteStream, Ended, Event, Frame, head};

/// First size of the read buffer; it is allocated for every socket, and control messages are short.
const READ_BUFFER: usize = 512;

/// Frames are gathered up to about this many bytes for one write and so, under TLS, one record.
const BATCH: usize = 4096;

/// The longest header of a frame that is not masked (RFC 6455 section 5.2).
const MAX_HEADER: usize = 10;

/// The longest payload of a ping, pong or close (RFC 6455 section 5.5), which no message limit forbids.
const MAX_CONTROL: usize = 125;

/// What a socket starts with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The longest message taken, in bytes, over all its fragments.
    pub max_message: usize,
    /// Pings of the WebSocket itself; none where the protocol above has its own heartbeat.
    pub keepalive: Option<Keepalive>,
}

impl Default for Limits {
    /// 64 KiB and the usual keepalive.
    fn default() -> Self {
        Self {
            max_message: 64 * 1024,
            keepalive: Some(Keepalive::default()),
        }
    }
}

/// The server's end of a WebSocket. Nothing moves unless `poll_event` or `flush_now` is called.
pub struct WebSocket<S> {
    core: tungstenite::WebSocket<Polled<S>>,
    queue: VecDeque<Frame>,
    queued_bytes: usize,
    /// The core or the stream below it holds bytes that are not with the kernel yet.
    unflushed: bool,
    /// `Flushed` is owed for what was sent.
    owes_flushed: bool,
    /// A pong waits behind a full connection; reading on would only pile up more of them.
    choked: bool,
    paused: bool,
    /// The core has said all that it read; only new bytes give it more.
    is_drained: bool,
    clock: Option<Clock>,
    last_received: Instant,
    closing: Option<Box<Closing>>,
    ended: Option<Ended>,
}

impl<S: ByteStream> WebSocket<S> {
    /// A socket on a stream whose opening handshake is done; `read` is what came after it.
    pub fn new(stream: S, read: Bytes, limits: Limits) -> Self {
        let config = WebSocketConfig::default()
            .read_buffer_size(READ_BUFFER)
            // Only a flush writes what the core has to say by itself: pings, pongs and the close.
            .write_buffer_size(usize::MAX - 1)
            .max_message_size(Some(limits.max_message))
            .max_frame_size(Some(limits.max_message.max(MAX_CONTROL)));
        let stream = Polled::new(stream);
        let role = Role::Server;
        Self {
            core: tungstenite::WebSocket::from_partially_read(
                stream,
                // Not `into`: that would keep all of hyper's buffer, be there nothing in it.
                read.to_vec(),
                role,
                Some(config),
            ),
            queue: VecDeque::new(),
            queued_bytes: 0,
            unflushed: false,
            owes_flushed: false,
            choked: false,
            paused: false,
            is_drained: false,
            clock: limits.keepalive.map(Clock::start),
            last_received: Instant::now(),
            closing: None,
            ended: None,
        }
    }

    /// A socket on a stream whose opening handshake is answered with this head ([`answer`]), together
    /// with the first frames; `read` is what came after the request.
    pub fn opening(stream: S, head: &Parts, read: Bytes, limits: Limits) -> Self {
        let mut socket = Self::new(stream, read, limits);
        socket.core.get_mut().begin_with(head::written(head));
        socket.owes_flushed = true;
        socket
    }

    /// Waits for the next event. Cancel safe.
    pub async fn event(&mut self) -> Event {
        poll_fn(|cx| self.poll_event(cx)).await
    }

    /// Reads, writes what is queued, answers pings and keeps the peer alive, until there is something to tell.
    pub fn poll_event(&mut self, cx: &mut Context<'_>) -> Poll<Event> {
        self.core.get_mut().rouse(cx.waker());
        loop {
            if let Some(ended) = self.ended {
                return Poll::Ready(Event::Closed(ended));
            }
            let step = match self.closing.take() {
                Some(closing) => self.poll_closing(closing, cx),
                None => self.poll_open(cx),
            };
            match std::task::ready!(step) {
                Ok(event) => return Poll::Ready(event),
                Err(ended) => self.fail(ended),
            }
        }
    }

    /// The stream that carries it.
    pub fn stream(&self) -> &S {
        self.core.get_ref().get_ref()
    }

    /// When the peer last sent anything, a pong included.
    pub fn last_received(&self) -> Instant {
        self.last_received
    }

    /// Whether all that was queued is with the kernel.
    pub fn can_send(&self) -> bool {
        self.queue.is_empty() && !self.core.get_ref().has_rest() && !self.unflushed
    }

    /// Queues a frame; `poll_event` writes it. The queue is the caller's to bound, by `can_send` and `Flushed`.
    pub fn send(&mut self, frame: Frame) {
        if self.ended.is_none() {
            self.queued_bytes += frame.len();
            self.queue.push_back(frame);
            self.owes_flushed = true;
        }
    }

    /// Writes what is queued as far as the connection takes it at once; true when all of it is with
    /// the kernel, and then no `Flushed` says so. The rest, and an error, are `poll_event`'s to tell.
    pub fn flush_now(&mut self) -> bool {
        if self.ended.is_some() || self.closing.is_some() {
            return false;
        }
        match self.pump() {
            Ok(Poll::Ready(())) => {
                self.owes_flushed = false;
                true
            }
            Ok(Poll::Pending) => false,
            Err(ended) => {
                self.fail(ended);
                false
            }
        }
    }

    /// Drops the queued frames of which no byte has left. False when some bytes are stuck half-way in
    /// the connection's buffers: then only dropping the socket forgets them.
    pub fn discard_unsent(&mut self) -> bool {
        self.retain_unsent(|_| false)
    }

    /// As `discard_unsent`, but keeps what the closure says.
    pub(crate) fn retain_unsent(&mut self, keep: impl Fn(&Frame) -> bool) -> bool {
        self.queue.retain(keep);
        self.queued_bytes = self.queue.iter().map(Frame::len).sum();
        !self.unflushed
    }

    /// The longest message taken from now on, in bytes; a longer one closes the socket with 1009.
    pub fn set_max_message(&mut self, bytes: usize) {
        self.core.set_config(|config| {
            config.max_message_size = Some(bytes);
            config.max_frame_size = Some(bytes.max(MAX_CONTROL));
        });
    }

    /// While paused, `poll_event` writes but reads nothing, and the peer's silence is not held against it.
    pub fn pause(&mut self, paused: bool) {
        if self.paused && !paused {
            self.note_received();
        }
        self.paused = paused;
    }

    /// Sends what is queued, then a close frame, and waits for the peer to hang up; takes at most two seconds.
    ///
    /// `code` is one an endpoint may send (RFC 6455 section 7.4; otherwise 1000 goes out), `reason` is cut at 123 bytes.
    pub async fn close(mut self, code: u16, reason: &str) {
        self.start_close(code, reason, Ended::Peer { code: None });
        while !matches!(self.event().await, Event::Closed(_)) {}
    }

    /// The open socket's turn: an event, or the reason why it is over.
    fn poll_open(&mut self, cx: &mut Context<'_>) -> Poll<Result<Event, Ended>> {
        self.poll_clock(cx)?;
        loop {
            // Reading comes first, so that the answers to a burst leave in one write, but it may not starve the writing.
            if self.queued_bytes >= BATCH || self.core.get_ref().has_rest() {
                let _ = self.pump()?;
            }
            if let Poll::Ready(frame) = self.poll_read()? {
                return Poll::Ready(Ok(Event::Message(frame)));
            }
            let was_choked = self.choked;
            if self.pump()?.is_pending() {
                // Be it only a ping: whoever waits to send is told once it has left.
                self.owes_flushed = true;
                return Poll::Pending;
            }
            if mem::take(&mut self.owes_flushed) {
                return Poll::Ready(Ok(Event::Flushed));
            }
            // A choked socket stopped reading before there was nothing to read, so nobody would wake it.
            if !was_choked {
                return Poll::Pending;
            }
        }
    }

    fn poll_clock(&mut self, cx: &mut Context<'_>) -> Result<(), Ended> {
        let listening = !self.paused && !self.choked;
        while let Some(Poll::Ready(due)) =
            self.clock.as_mut().map(|clock| clock.poll(listening, cx))
        {
            match due {
                Due::GiveUp => return Err(Ended::PingTimeout),
                Due::Ping => self.write(Message::Ping(Bytes::new()))?,
            }
        }
        Ok(())
    }

    fn poll_read(&mut self) -> Poll<Result<Frame, Ended>> {
        while !self.paused && !self.choked {
            // The core clears its buffer before it finds that there is nothing to read, and a socket
            // that is only told something has nothing to read each time.
            if self.is_drained && !self.core.get_mut().is_readable() {
                break;
            }
            let message = match self.core.read() {
                Err(error) if would_block(&error) => {
                    self.is_drained = true;
                    continue;
                }
                other => other.map_err(ended_by)?,
            };
            self.is_drained = false;
            self.last_received = Instant::now();
            self.note_received();
            match message {
                Message::Text(text) => return Poll::Ready(Ok(Frame::Text(text))),
                Message::Binary(bytes) => return Poll::Ready(Ok(Frame::Binary(bytes))),
                Message::Close(frame) => {
                    let code = frame.map(|frame| frame.code.into());
                    return Poll::Ready(Err(Ended::Peer { code }));
                }
                Message::Ping(_) => {
                    self.unflushed = true;
                    self.choked = self.flush()?.is_pending();
                }
                Message::Pong(_) | Message::Frame(_) => {}
            }
        }
        Poll::Pending
    }

    /// Writes the queue, batch by batch; ready when all of it is with the kernel.
    fn pump(&mut self) -> Result<Poll<()>, Ended> {
        loop {
            if self.unflushed && self.flush()?.is_pending() {
                return Ok(Poll::Pending);
            }
            if self.queue.is_empty() && !self.core.get_ref().has_rest() {
                // An idle socket holds no queue memory.
                self.queue = VecDeque::new();
                return Ok(Poll::Ready(()));
            }
            let batch = self.next_batch().map_err(ended_by)?;
            self.unflushed = true;
            let put = self.core.get_mut().put(batch);
            put.map_err(|error| Ended::Transport(error.kind()))?;
        }
    }

    /// The next queued frames as bytes. The core has nothing to write then, so they are not given to
    /// it: it would copy them to a buffer that it keeps.
    fn next_batch(&mut self) -> tungstenite::Result<Vec<u8>> {
        let mut batch = Vec::with_capacity(self.queued_bytes.min(BATCH) + MAX_HEADER);
        while batch.len() < BATCH
            && let Some(frame) = self.queue.pop_front()
        {
            self.queued_bytes -= frame.len();
            let (kind, payload) = match frame {
                Frame::Text(text) => (Data::Text, text.into()),
                Frame::Binary(bytes) => (Data::Binary, bytes),
            };
            let message =
                tungstenite::protocol::frame::Frame::message(payload, OpCode::Data(kind), true);
            message.format(&mut batch)?;
        }
        Ok(batch)
    }

    fn write(&mut self, message: Message) -> Result<(), Ended> {
        self.unflushed = true;
        match self.core.write(message) {
            Err(error) if !would_block(&error) => Err(ended_by(error)),
            _ => Ok(()),
        }
    }

    fn flush(&mut self) -> Result<Poll<()>, Ended> {
        match self.core.flush() {
            Ok(()) => {
                self.unflushed = false;
                self.choked = false;
                Ok(Poll::Ready(()))
            }
            Err(error) if would_block(&error) => Ok(Poll::Pending),
            Err(error) => Err(ended_by(error)),
        }
    }

    fn note_received(&mut self) {
        if let Some(clock) = &mut self.clock {
            clock.note_received();
        }
    }
}

fn would_block(error: &Error) -> bool {
    matches!(error, Error::Io(error) if error.kind() == io::ErrorKind::WouldBlock)
}

fn ended_by(error: Error) -> Ended {
    match error {
        Error::Io(error) => Ended::Transport(error.kind()),
        Error::Protocol(ProtocolError::ResetWithoutClosingHandshake) => {
            Ended::Transport(io::ErrorKind::UnexpectedEof)
        }
        Error::ConnectionClosed | Error::AlreadyClosed => Ended::Peer { code: None },
        Error::Capacity(_) => Ended::TooBig,
        Error::Utf8(_) => Ended::BadUtf8,
        _ => Ended::Protocol,
    }
}
