//! Server-sent events (HTML standard, section 9.2): an endless HTTP response on a connection that serves nothing
//! else. Event texts are opaque to it. The response is framed as in HTTP/1.1 (RFC 9112).

use std::collections::VecDeque;
use std::future::poll_fn;
use std::io;
use std::mem;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Buf as _, BytesMut};
use hyper::Version;
use hyper::header::{CONNECTION, DATE, HeaderValue, TRANSFER_ENCODING};
use hyper::http::response::Parts;
use time::OffsetDateTime;
use time::format_description::BorrowedFormatItem;
use time::macros::format_description;
use tokio::io::{AsyncWriteExt as _, ReadBuf};
use tokio::time::{Instant, Sleep, sleep, timeout};

use super::{ByteStream, CloseReason, Event, Frame, response_head};

/// After this long without output a comment is sent, so that proxies do not close the connection.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(15);
const KEEPALIVE_COMMENT: &str = ": keep-alive\n\n";
/// Queued events are combined to writes of about this many bytes.
const BATCH: usize = 16 * 1024;
/// Maximum duration of [`EventStream::close`].
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);

/// The date format of RFC 9110 section 5.6.7.
const HTTP_DATE: &[BorrowedFormatItem<'_>] = format_description!(
    "[weekday repr:short], [day] [month repr:short] [year] [hour]:[minute]:[second] GMT"
);

/// The server's end of one event stream.
///
/// One task owns it and must keep calling [`poll_event`](Self::poll_event) or [`event`](Self::event). Frames are
/// whole events: text that ends with an empty line. It never returns [`Event::Message`].
pub struct EventStream<S: ByteStream> {
    stream: S,
    /// The encoded response head, until the first write.
    head: Option<Vec<u8>>,
    queue: VecDeque<Frame>,
    /// The rest of the batch that is being written.
    buffer: BytesMut,
    unflushed: bool,
    /// An [`Event::Flushed`] is due when the queue is empty.
    flushed_event_due: bool,
    is_chunked: bool,
    keepalive: Pin<Box<Sleep>>,
    closed: Option<CloseReason>,
}

impl<S: ByteStream> EventStream<S> {
    /// Creates the stream on a connection whose request has been read.
    ///
    /// `head` is the response head without framing headers: `Connection`, `Date` and, for HTTP/1.1,
    /// `Transfer-Encoding` are added. `version` is that of the request.
    pub fn new(stream: S, head: Parts, version: Version) -> Self {
        // HTTP/1.0 has no chunked encoding; there the end of the connection ends the response.
        let is_chunked = version >= Version::HTTP_11;
        Self {
            stream,
            head: Some(encode_head(head, is_chunked)),
            queue: VecDeque::new(),
            buffer: BytesMut::new(),
            unflushed: false,
            flushed_event_due: true,
            is_chunked,
            keepalive: Box::pin(sleep(KEEPALIVE_INTERVAL)),
            closed: None,
        }
    }

    /// Waits for the next event. Cancel safe: dropping the future loses no data.
    pub async fn event(&mut self) -> Event {
        poll_fn(|cx| self.poll_event(cx)).await
    }

    /// Writes queued events and, after 15 s without output, a comment, until there is an event to return:
    /// [`Event::Flushed`] or [`Event::Closed`]. Bytes from the peer are ignored. After `Closed` every further
    /// call returns the same event.
    pub fn poll_event(&mut self, cx: &mut Context<'_>) -> Poll<Event> {
        if let Some(reason) = self.closed {
            return Poll::Ready(Event::Closed(reason));
        }
        match std::task::ready!(self.poll_open(cx)) {
            Ok(()) => Poll::Ready(Event::Flushed),
            Err(reason) => {
                self.closed = Some(reason);
                Poll::Ready(Event::Closed(reason))
            }
        }
    }

    /// The underlying stream.
    pub fn stream(&self) -> &S {
        &self.stream
    }

    /// Whether every queued event has been handed to the kernel.
    pub fn can_send(&self) -> bool {
        self.queue.is_empty() && self.head.is_none() && !self.unflushed
    }

    /// Queues an event, which `poll_event` writes. The queue is unbounded: wait for
    /// [`can_send`](Self::can_send) or [`Event::Flushed`] to bound it. Ignored after the stream is closed.
    pub fn send(&mut self, frame: Frame) {
        if self.closed.is_none() {
            self.queue.push_back(frame);
            self.flushed_event_due = true;
        }
    }

    /// Drops every queued event that has not been written in part. Returns false if bytes remain in the
    /// connection's buffers; only dropping the stream discards those.
    pub fn discard_unsent(&mut self) -> bool {
        self.queue = VecDeque::new();
        !self.unflushed
    }

    /// Sends the queued events, ends the response and waits for the peer to close the connection. Takes at
    /// most two seconds.
    pub async fn close(mut self) {
        let finish = async {
            poll_fn(|cx| self.poll_write_queue(cx)).await?;
            if self.is_chunked {
                self.stream.write_all(b"0\r\n\r\n").await?;
            }
            self.stream.flush().await?;
            self.stream.shutdown().await?;
            // Closing a TCP socket with unread bytes resets it, and the reset could reach the peer before
            // the last events.
            poll_fn(|cx| self.poll_peer_closed(cx)).await
        };
        // A peer that does not read misses only the end of the response.
        let _ = timeout(CLOSE_TIMEOUT, Box::pin(finish)).await;
    }

    /// Ready when the queue was written, or with the reason for which the stream is closed.
    fn poll_open(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), CloseReason>> {
        loop {
            if self
                .poll_write_queue(cx)
                .map_err(transport_error)?
                .is_ready()
            {
                if mem::take(&mut self.flushed_event_due) {
                    return Poll::Ready(Ok(()));
                }
                if self.keepalive.as_mut().poll(cx).is_ready() {
                    self.send(Frame::text(KEEPALIVE_COMMENT));
                    continue;
                }
            }
            std::task::ready!(self.poll_peer_closed(cx)).map_err(transport_error)?;
            return Poll::Ready(Err(CloseReason::Peer { code: None }));
        }
    }

    /// Writes the queue in batches. Ready when the kernel has all of it.
    fn poll_write_queue(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            while self.buffer.has_remaining() {
                let stream = Pin::new(&mut self.stream);
                match std::task::ready!(stream.poll_write(cx, &self.buffer))? {
                    0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                    written => self.buffer.advance(written),
                }
            }
            if self.unflushed {
                std::task::ready!(Pin::new(&mut self.stream).poll_flush(cx))?;
                self.unflushed = false;
            }
            if self.head.is_none() && self.queue.is_empty() {
                // An idle stream holds no buffers.
                self.queue = VecDeque::new();
                self.buffer = BytesMut::new();
                return Poll::Ready(Ok(()));
            }
            self.fill_buffer();
        }
    }

    fn fill_buffer(&mut self) {
        self.unflushed = true;
        self.keepalive
            .as_mut()
            .reset(Instant::now() + KEEPALIVE_INTERVAL);
        if let Some(head) = self.head.take() {
            self.buffer.extend_from_slice(&head);
        }
        while self.buffer.len() < BATCH
            && let Some(frame) = self.queue.pop_front()
        {
            let bytes = match &frame {
                Frame::Text(text) => text.as_bytes(),
                Frame::Binary(bytes) => bytes,
            };
            if self.is_chunked {
                let size = format!("{:x}\r\n", bytes.len());
                self.buffer.extend_from_slice(size.as_bytes());
            }
            self.buffer.extend_from_slice(bytes);
            if self.is_chunked {
                self.buffer.extend_from_slice(b"\r\n");
            }
        }
    }

    /// Reads and discards until the peer closes its write side.
    fn poll_peer_closed(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut scratch = [0; 512];
        loop {
            let mut buffer = ReadBuf::new(&mut scratch);
            std::task::ready!(Pin::new(&mut self.stream).poll_read(cx, &mut buffer))?;
            if buffer.filled().is_empty() {
                return Poll::Ready(Ok(()));
            }
        }
    }
}

fn transport_error(error: io::Error) -> CloseReason {
    CloseReason::Transport(error.kind())
}

/// Adds the framing headers and encodes the head. The connection is not reused.
fn encode_head(mut head: Parts, is_chunked: bool) -> Vec<u8> {
    head.headers
        .insert(CONNECTION, HeaderValue::from_static("close"));
    if is_chunked {
        let chunked = HeaderValue::from_static("chunked");
        head.headers.insert(TRANSFER_ENCODING, chunked);
    }
    let now = OffsetDateTime::now_utc().format(HTTP_DATE);
    if let Some(now) = now.ok().and_then(|now| HeaderValue::try_from(now).ok()) {
        head.headers.insert(DATE, now);
    }
    response_head::encode(&head)
}
