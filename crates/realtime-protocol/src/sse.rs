//! Server-sent events: one answer without an end, on a connection that has nothing else to do; knows nothing of what the events say.
//!
//! The format is the HTML standard's (section 9.2); the answer around it is HTTP/1.1 (RFC 9112).

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

use super::{ByteStream, Ended, Event, Frame, head};

/// After this long without a word a comment goes out, which keeps proxies from closing.
const SILENCE: Duration = Duration::from_secs(15);
const COMMENT: &str = ": keep-alive\n\n";
/// Bytes that are laid together for one write.
const BATCH: usize = 16 * 1024;
/// The longest that saying goodbye may take.
const PATIENCE: Duration = Duration::from_secs(2);

/// RFC 9110 section 5.6.7.
const HTTP_DATE: &[BorrowedFormatItem<'_>] = format_description!(
    "[weekday repr:short], [day] [month repr:short] [year] [hour]:[minute]:[second] GMT"
);

/// The server's end of one event stream. Nothing moves unless `poll_event` is called.
///
/// The frames that it takes are whole events: text that ends with an empty line.
pub struct EventStream<S: ByteStream> {
    stream: S,
    /// The answer's head, until the first write.
    head: Option<Vec<u8>>,
    queue: VecDeque<Frame>,
    /// What is being written: some of it may have left.
    buffer: BytesMut,
    unflushed: bool,
    owes_flushed: bool,
    is_chunked: bool,
    silence: Pin<Box<Sleep>>,
    ended: Option<Ended>,
}

impl<S: ByteStream> EventStream<S> {
    /// Answers with this head on a connection whose request, of this version, was read.
    pub fn new(stream: S, head: Parts, version: Version) -> Self {
        // HTTP/1.0 knows no chunks: there the connection's end is the answer's.
        let is_chunked = version >= Version::HTTP_11;
        Self {
            stream,
            head: Some(written(head, is_chunked)),
            queue: VecDeque::new(),
            buffer: BytesMut::new(),
            unflushed: false,
            owes_flushed: true,
            is_chunked,
            silence: Box::pin(sleep(SILENCE)),
            ended: None,
        }
    }

    /// Waits for the next event. Cancel safe.
    pub async fn event(&mut self) -> Event {
        poll_fn(|cx| self.poll_event(cx)).await
    }

    /// Writes what is queued and keeps the silence from becoming too long, until there is
    /// something to tell. What the peer says is passed over.
    pub fn poll_event(&mut self, cx: &mut Context<'_>) -> Poll<Event> {
        if let Some(ended) = self.ended {
            return Poll::Ready(Event::Closed(ended));
        }
        match std::task::ready!(self.poll_open(cx)) {
            Ok(()) => Poll::Ready(Event::Flushed),
            Err(ended) => {
                self.ended = Some(ended);
                Poll::Ready(Event::Closed(ended))
            }
        }
    }

    /// The stream that carries it.
    pub fn stream(&self) -> &S {
        &self.stream
    }

    /// Whether all that was queued is with the kernel.
    pub fn can_send(&self) -> bool {
        self.queue.is_empty() && self.head.is_none() && !self.unflushed
    }

    /// Queues an event; `poll_event` writes it. The queue is the caller's to bound, by `can_send`
    /// and `Flushed`.
    pub fn send(&mut self, frame: Frame) {
        if self.ended.is_none() {
            self.queue.push_back(frame);
            self.owes_flushed = true;
        }
    }

    /// Drops the queued events of which no byte has left. False when some bytes are stuck half-way
    /// in the connection's buffers: then only dropping the stream forgets them.
    pub fn discard_unsent(&mut self) -> bool {
        self.queue = VecDeque::new();
        !self.unflushed
    }

    /// Sends what is queued, then the answer's end, and waits for the peer to hang up; takes at most
    /// two seconds.
    pub async fn close(mut self) {
        let goodbye = async {
            poll_fn(|cx| self.pump(cx)).await?;
            if self.is_chunked {
                self.stream.write_all(b"0\r\n\r\n").await?;
            }
            self.stream.flush().await?;
            self.stream.shutdown().await?;
            // Closing with unread bytes would reset the connection, and the reset could overtake
            // the last words.
            poll_fn(|cx| self.poll_hang_up(cx)).await
        };
        // A peer that is gone or takes nothing misses the end of the answer, and no more.
        let _ = timeout(PATIENCE, Box::pin(goodbye)).await;
    }

    /// Ready when all that was owed has left, or with the reason why the stream is over.
    fn poll_open(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Ended>> {
        loop {
            if self.pump(cx).map_err(broken)?.is_ready() {
                if mem::take(&mut self.owes_flushed) {
                    return Poll::Ready(Ok(()));
                }
                if self.silence.as_mut().poll(cx).is_ready() {
                    self.send(Frame::text(COMMENT));
                    continue;
                }
            }
            std::task::ready!(self.poll_hang_up(cx)).map_err(broken)?;
            return Poll::Ready(Err(Ended::Peer { code: None }));
        }
    }

    /// Writes the queue, batch by batch; ready when all of it is with the kernel.
    fn pump(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
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
                // An idle stream holds no memory for what it may have to say.
                self.queue = VecDeque::new();
                self.buffer = BytesMut::new();
                return Poll::Ready(Ok(()));
            }
            self.fill();
        }
    }

    fn fill(&mut self) {
        self.unflushed = true;
        self.silence.as_mut().reset(Instant::now() + SILENCE);
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

    /// Reads and throws away until the peer has hung up.
    fn poll_hang_up(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
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

fn broken(error: io::Error) -> Ended {
    Ended::Transport(error.kind())
}

/// The head as it goes over the wire. The connection is not used again.
fn written(mut head: Parts, is_chunked: bool) -> Vec<u8> {
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
    head::written(&head)
}
