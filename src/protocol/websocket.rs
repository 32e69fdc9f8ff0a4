//! WebSocket (RFC 6455) on hyper and tungstenite: the upgrade, and a socket that reads and writes
//! in one poll.
//!
//! Knows frames, not what they mean.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use futures_util::{Sink, Stream};
use http_body_util::Full;
use hyper::header::{
    CONNECTION, HeaderValue, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_VERSION,
    UPGRADE,
};
use hyper::{HeaderMap, Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{Instant, Sleep};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::error::{CapacityError, Error};
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::frame::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Message, Utf8Bytes};

use super::{Ended, Event, Frame};

/// Tungstenite allocates this much at once for each socket; messages here are small.
const READ_BUFFER: usize = 1024;
/// Frames are gathered up to here before they are written.
const WRITE_BUFFER: usize = 16 * 1024;
/// How long a closing handshake may take.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);
/// Answers that may wait before the socket reads on: whoever does not take them is not heard.
const MAX_UNSENT: usize = 64;

/// The bounds of a socket.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// The largest message that is read, in bytes; a larger one ends the socket with 1009.
    pub max_message: usize,
    /// When to send pings, if at all.
    pub keepalive: Option<Keepalive>,
}

/// Pings of the WebSocket layer.
#[derive(Clone, Copy, Debug)]
pub struct Keepalive {
    /// A ping is sent this often.
    pub ping_interval: Duration,
    /// A peer from which nothing comes for this long is gone.
    pub silence: Duration,
}

/// A request that asks for a WebSocket and cannot have one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HandshakeError {
    /// Not a WebSocket upgrade by GET.
    #[error("this is no WebSocket upgrade (RFC 6455 section 4.2.1)")]
    NoUpgrade,
    /// Another version than 13.
    #[error("only WebSocket version 13 is spoken here")]
    Version,
    /// No key, or more than one.
    #[error("the header Sec-WebSocket-Key is missing")]
    Key,
}

impl HandshakeError {
    /// The status that says so.
    pub fn status(self) -> StatusCode {
        match self {
            Self::NoUpgrade | Self::Version => StatusCode::UPGRADE_REQUIRED,
            Self::Key => StatusCode::BAD_REQUEST,
        }
    }
}

/// An upgrade that was answered and did not come about.
#[derive(Debug, thiserror::Error)]
pub enum UpgradeError {
    /// The connection ended meanwhile.
    #[error("the connection ended during the upgrade: {0}")]
    Gone(#[from] hyper::Error),
    /// The connection is of another type than the one that was asked for.
    #[error("the upgraded connection is not of the expected type")]
    OtherStream,
}

/// Whether a request asks for a WebSocket.
pub fn is_upgrade<B>(request: &Request<B>) -> bool {
    has_token(request.headers(), &UPGRADE, "websocket")
}

fn has_token(headers: &HeaderMap, name: &hyper::header::HeaderName, token: &str) -> bool {
    headers
        .get_all(name)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|value| value.trim().eq_ignore_ascii_case(token))
}

/// Answers the upgrade with 101; the future gives the socket once the answer is out. `S` is the
/// stream that the HTTP connection was served on: of hyper's own nothing is kept.
///
/// # Errors
/// Why the request cannot be upgraded.
pub fn accept<S, B>(
    request: &mut Request<B>,
    limits: Limits,
) -> Result<
    (
        Response<Full<Bytes>>,
        impl Future<Output = Result<WebSocket<S>, UpgradeError>> + use<S, B>,
    ),
    HandshakeError,
>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let headers = request.headers();
    if request.method() != Method::GET
        || !is_upgrade(request)
        || !has_token(headers, &CONNECTION, "upgrade")
    {
        return Err(HandshakeError::NoUpgrade);
    }
    if headers
        .get(SEC_WEBSOCKET_VERSION)
        .map(HeaderValue::as_bytes)
        != Some(b"13")
    {
        return Err(HandshakeError::Version);
    }
    let key = headers.get(SEC_WEBSOCKET_KEY).ok_or(HandshakeError::Key)?;
    let accept = HeaderValue::from_str(&derive_accept_key(key.as_bytes()))
        .map_err(|_| HandshakeError::Key)?;

    let mut response = Response::new(Full::default());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(SEC_WEBSOCKET_ACCEPT, accept);

    let upgrade = hyper::upgrade::on(request);
    let socket = async move {
        let parts = upgrade
            .await?
            .downcast::<TokioIo<S>>()
            .map_err(|_| UpgradeError::OtherStream)?;
        let (stream, read) = (parts.io.into_inner(), parts.read_buf.to_vec());
        let config = WebSocketConfig::default()
            .read_buffer_size(READ_BUFFER)
            .write_buffer_size(WRITE_BUFFER)
            .max_message_size(Some(limits.max_message))
            .max_frame_size(Some(limits.max_message));
        let inner =
            WebSocketStream::from_partially_read(stream, read, Role::Server, Some(config)).await;
        Ok(WebSocket::new(inner, limits))
    };
    Ok((response, socket))
}

/// An open WebSocket.
#[derive(Debug)]
pub struct WebSocket<S> {
    inner: WebSocketStream<S>,
    unsent: VecDeque<Frame>,
    /// Whether something was handed to tungstenite that the kernel does not have yet.
    unflushed: bool,
    max_message: usize,
    keepalive: Option<Beat>,
    ended: bool,
}

/// The state of the pings.
#[derive(Debug)]
struct Beat {
    plan: Keepalive,
    heard_at: Instant,
    pinged_at: Instant,
    timer: Pin<Box<Sleep>>,
}

impl<S> WebSocket<S>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    fn new(inner: WebSocketStream<S>, limits: Limits) -> Self {
        let now = Instant::now();
        let keepalive = limits.keepalive.map(|plan| Beat {
            plan,
            heard_at: now,
            pinged_at: now,
            timer: Box::pin(tokio::time::sleep(plan.ping_interval)),
        });
        Self {
            inner,
            unsent: VecDeque::new(),
            unflushed: false,
            max_message: limits.max_message,
            keepalive,
            ended: false,
        }
    }

    /// Reads and writes until there is something to tell. Cancel safe: nothing is lost between
    /// two calls.
    pub fn poll_event(&mut self, cx: &mut Context<'_>) -> Poll<Event> {
        if self.ended {
            return Poll::Ready(Event::Closed(Ended::Gone));
        }
        if let Poll::Ready(ended) = self.poll_keepalive(cx) {
            return self.end(ended);
        }
        let was_busy = !self.can_send();
        match self.poll_write(cx) {
            Poll::Ready(Err(error)) => return self.end(ended_by(&error)),
            Poll::Ready(Ok(())) if was_busy => return Poll::Ready(Event::Flushed),
            Poll::Ready(Ok(())) => {}
            // A peer that takes no answers asks no more questions meanwhile.
            Poll::Pending if self.unsent.len() >= MAX_UNSENT => return Poll::Pending,
            Poll::Pending => {}
        }
        loop {
            let message = match ready!(Pin::new(&mut self.inner).poll_next(cx)) {
                None => return self.end(Ended::Gone),
                Some(Err(error)) => return self.end(ended_by(&error)),
                Some(Ok(message)) => message,
            };
            if let Some(beat) = &mut self.keepalive {
                beat.heard_at = Instant::now();
            }
            match message {
                Message::Text(text) if text.len() <= self.max_message => {
                    return Poll::Ready(Event::Message(Frame::Text(text)));
                }
                Message::Binary(bytes) if bytes.len() <= self.max_message => {
                    return Poll::Ready(Event::Message(Frame::Binary(bytes)));
                }
                Message::Text(_) | Message::Binary(_) => return self.end(Ended::TooBig),
                Message::Close(frame) => {
                    let code = frame.map_or(1005, |frame| frame.code.into());
                    return self.end(Ended::ByPeer(code));
                }
                // Tungstenite has queued the pong; a flush sends it.
                Message::Ping(_) => {
                    self.unflushed = true;
                    if let Poll::Ready(Err(error)) = self.poll_write(cx) {
                        return self.end(ended_by(&error));
                    }
                }
                Message::Pong(_) | Message::Frame(_) => {}
            }
        }
    }

    /// The next event.
    pub async fn event(&mut self) -> Event {
        poll_fn(|cx| self.poll_event(cx)).await
    }

    /// Whether all that was queued is with the kernel.
    pub fn can_send(&self) -> bool {
        self.unsent.is_empty() && !self.unflushed
    }

    /// Queues a frame; [`WebSocket::poll_event`] writes it.
    pub fn send(&mut self, frame: Frame) {
        self.unsent.push_back(frame);
    }

    /// Drops the frames that were queued and not begun. False when bytes of an earlier one are
    /// stuck half-way: then only dropping the whole socket keeps them back.
    pub fn discard_unsent(&mut self) -> bool {
        self.unsent.clear();
        !self.unflushed
    }

    /// The largest message that is read from now on, no larger than the limit it was opened with.
    pub fn set_max_message(&mut self, bytes: usize) {
        self.max_message = bytes;
    }

    /// Writes what is queued and closes (RFC 6455 section 7), within two seconds.
    pub async fn close(mut self, code: u16, reason: &str) {
        if self.ended && code < 4000 {
            // The peer has closed already; tungstenite answers that by itself.
            let _ = tokio::time::timeout(CLOSE_TIMEOUT, poll_fn(|cx| self.poll_write(cx))).await;
            return;
        }
        let frame = CloseFrame {
            code: CloseCode::from(code),
            reason: Utf8Bytes::from(reason),
        };
        let closing = async {
            poll_fn(|cx| self.poll_write(cx)).await?;
            self.inner.close(Some(frame)).await?;
            // The peer's own close frame, so that the TCP connection ends without a reset.
            while let Some(Ok(_)) = poll_fn(|cx| Pin::new(&mut self.inner).poll_next(cx)).await {}
            Ok::<_, Error>(())
        };
        // A peer that does not close in time is left alone with its half.
        let _ = tokio::time::timeout(CLOSE_TIMEOUT, closing).await;
    }

    /// Ready once everything queued is with the kernel. Several frames go out in one write.
    fn poll_write(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        while !self.unsent.is_empty() {
            ready!(Pin::new(&mut self.inner).poll_ready(cx))?;
            if let Some(frame) = self.unsent.pop_front() {
                let message = match frame {
                    Frame::Text(text) => Message::Text(text),
                    Frame::Binary(bytes) => Message::Binary(bytes),
                };
                self.unflushed = true;
                Pin::new(&mut self.inner).start_send(message)?;
            }
        }
        if self.unflushed {
            ready!(Pin::new(&mut self.inner).poll_flush(cx))?;
            self.unflushed = false;
            self.unsent = VecDeque::new();
        }
        Poll::Ready(Ok(()))
    }

    /// Ready when the peer has been silent for too long.
    fn poll_keepalive(&mut self, cx: &mut Context<'_>) -> Poll<Ended> {
        loop {
            let Some(beat) = &mut self.keepalive else {
                return Poll::Pending;
            };
            ready!(beat.timer.as_mut().poll(cx));
            let now = Instant::now();
            if now >= beat.heard_at + beat.plan.silence {
                return Poll::Ready(Ended::PingTimeout);
            }
            let must_ping = now >= beat.pinged_at + beat.plan.ping_interval;
            if must_ping {
                beat.pinged_at = now;
            }
            let next =
                (beat.pinged_at + beat.plan.ping_interval).min(beat.heard_at + beat.plan.silence);
            beat.timer.as_mut().reset(next);
            if must_ping {
                self.unflushed = true;
                let ping = Message::Ping(Bytes::new());
                if let Err(error) = Pin::new(&mut self.inner).start_send(ping) {
                    return Poll::Ready(ended_by(&error));
                }
            }
        }
    }

    fn end(&mut self, ended: Ended) -> Poll<Event> {
        self.ended = true;
        Poll::Ready(Event::Closed(ended))
    }
}

fn ended_by(error: &Error) -> Ended {
    match error {
        Error::Capacity(CapacityError::MessageTooLong { .. }) => Ended::TooBig,
        Error::Utf8(_) => Ended::BadUtf8,
        Error::Protocol(_) => Ended::Violation,
        _ => Ended::Gone,
    }
}
