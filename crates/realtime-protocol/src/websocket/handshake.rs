//! The opening handshake (RFC 6455 section 4.2) on a hyper request; gives the raw stream back from hyper, and never keeps hyper's own buffers.

use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;
use std::task::{Context, Poll};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{
    CONNECTION, HeaderMap, HeaderName, HeaderValue, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY,
    SEC_WEBSOCKET_VERSION, UPGRADE,
};
use hyper::upgrade::OnUpgrade;
use hyper::{Method, Request, Response, StatusCode, Version};
use hyper_util::rt::TokioIo;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

use super::{Limits, WebSocket};
use crate::ByteStream;

/// A request that asks for a WebSocket, but not in a way we can answer with 101.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HandshakeError {
    /// The request does not ask for an upgrade to `websocket` (answer 426).
    #[error("this address speaks WebSocket: send `Connection: Upgrade` and `Upgrade: websocket`")]
    NotAnUpgrade,
    /// A version other than 13 (answer 426).
    #[error("only WebSocket version 13 is spoken here: send `Sec-WebSocket-Version: 13`")]
    Version,
    /// Not a GET over HTTP/1.1 (answer 400).
    #[error("a WebSocket opens with a GET request over HTTP/1.1")]
    Method,
    /// The key is missing or is not 16 bytes in base64 (answer 400).
    #[error("`Sec-WebSocket-Key` must be 16 random bytes in base64")]
    Key,
}

impl HandshakeError {
    /// 426 where another request to the same address would work, else 400.
    pub fn status(self) -> StatusCode {
        match self {
            Self::NotAnUpgrade | Self::Version => StatusCode::UPGRADE_REQUIRED,
            Self::Method | Self::Key => StatusCode::BAD_REQUEST,
        }
    }

    /// The whole answer, with the headers a 426 must carry.
    pub fn response(self) -> Response<Full<Bytes>> {
        let mut response = Response::new(Full::from(self.to_string()));
        *response.status_mut() = self.status();
        if self.status() == StatusCode::UPGRADE_REQUIRED {
            let headers = response.headers_mut();
            headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
            headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
            headers.insert(SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
        }
        response
    }
}

/// The 101 was answered, but no WebSocket came of it.
#[derive(Debug, thiserror::Error)]
pub enum UpgradeError {
    /// The connection went away before hyper handed it over.
    #[error("the connection ended before the upgrade: {0}")]
    Gone(#[from] hyper::Error),
    /// The server serves another stream type than the caller named.
    #[error(
        "the connection is not the stream type that `accept` was called with; name the type the server wraps in TokioIo"
    )]
    OtherStream,
}

/// Whether the request asks to speak WebSocket instead of HTTP.
pub fn is_upgrade<B>(request: &Request<B>) -> bool {
    has_token(request.headers(), &CONNECTION, "upgrade")
        && has_token(request.headers(), &UPGRADE, "websocket")
}

/// Answers a WebSocket request: the 101 to send, and the future that yields the socket once it was sent.
///
/// `S` is the stream that the server wraps in `TokioIo` and serves `with_upgrades`.
/// No extension and no subprotocol is ever agreed to.
pub fn accept<S, B>(
    request: &mut Request<B>,
    limits: Limits,
) -> Result<(Response<Full<Bytes>>, Upgrading<S>), HandshakeError> {
    let response = answer(request)?;
    let upgrading = Upgrading {
        upgrade: hyper::upgrade::on(request),
        limits,
        stream: PhantomData,
    };
    Ok((response, upgrading))
}

/// The 101 alone, for a connection that is taken out of the server's hands: [`WebSocket::opening`].
///
/// # Errors
/// Why it is no handshake.
pub fn answer<B>(request: &Request<B>) -> Result<Response<Full<Bytes>>, HandshakeError> {
    if request.method() != Method::GET || request.version() != Version::HTTP_11 {
        return Err(HandshakeError::Method);
    }
    if !is_upgrade(request) {
        return Err(HandshakeError::NotAnUpgrade);
    }
    let headers = request.headers();
    if headers
        .get(SEC_WEBSOCKET_VERSION)
        .map(HeaderValue::as_bytes)
        != Some(b"13")
    {
        return Err(HandshakeError::Version);
    }
    let key = headers.get(SEC_WEBSOCKET_KEY).ok_or(HandshakeError::Key)?;
    if !STANDARD.decode(key).is_ok_and(|nonce| nonce.len() == 16) {
        return Err(HandshakeError::Key);
    }
    let accept = HeaderValue::try_from(derive_accept_key(key.as_bytes()))
        .map_err(|_| HandshakeError::Key)?;

    let mut response = Response::new(Full::default());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(SEC_WEBSOCKET_ACCEPT, accept);
    Ok(response)
}

/// Ready when hyper has sent the 101 and given the connection up.
pub struct Upgrading<S> {
    upgrade: OnUpgrade,
    limits: Limits,
    stream: PhantomData<fn() -> S>,
}

impl<S: ByteStream> Future for Upgrading<S> {
    type Output = Result<WebSocket<S>, UpgradeError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let Poll::Ready(upgraded) = Pin::new(&mut self.upgrade).poll(cx)? else {
            return Poll::Pending;
        };
        Poll::Ready(match upgraded.downcast::<TokioIo<S>>() {
            // The client may have sent its first frames right behind the request.
            Ok(parts) => Ok(WebSocket::new(
                parts.io.into_inner(),
                parts.read_buf,
                self.limits,
            )),
            Err(_) => Err(UpgradeError::OtherStream),
        })
    }
}

/// Whether a comma-separated header, in one line or several, holds the token in any case.
fn has_token(headers: &HeaderMap, name: &HeaderName, token: &str) -> bool {
    headers
        .get_all(name)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|item| item.trim().eq_ignore_ascii_case(token))
}

#[cfg(test)]
mod tests {
    use tokio::io::DuplexStream;

    use super::*;

    fn request(headers: &[(&str, &str)]) -> Request<()> {
        let mut builder = Request::get("/ws");
        for (name, value) in headers {
            builder = builder.header(*name, *value);
        }
        builder.body(()).unwrap()
    }

    const GOOD: [(&str, &str); 4] = [
        ("connection", "keep-alive, Upgrade"),
        ("upgrade", "WebSocket"),
        ("sec-websocket-version", "13"),
        ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
    ];

    fn refusal(headers: &[(&str, &str)]) -> HandshakeError {
        accept::<DuplexStream, _>(&mut request(headers), Limits::default())
            .err()
            .unwrap()
    }

    #[test]
    fn answers_the_key_of_the_rfc() {
        let mut request = request(&GOOD);
        let (response, _) = accept::<DuplexStream, _>(&mut request, Limits::default()).unwrap();
        assert_eq!(response.status(), StatusCode::SWITCHING_PROTOCOLS);
        assert_eq!(
            response.headers()[SEC_WEBSOCKET_ACCEPT],
            "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
        );
    }

    #[test]
    fn refuses_what_is_not_a_handshake() {
        assert_eq!(refusal(&GOOD[1..]), HandshakeError::NotAnUpgrade);
        assert_eq!(refusal(&GOOD[..3]), HandshakeError::Key);
        let mut wrong = GOOD;
        wrong[2].1 = "8";
        assert_eq!(refusal(&wrong), HandshakeError::Version);
        assert_eq!(
            HandshakeError::Version.response().headers()[SEC_WEBSOCKET_VERSION],
            "13"
        );
        wrong = GOOD;
        wrong[3].1 = "c2hvcnQ=";
        assert_eq!(refusal(&wrong), HandshakeError::Key);
        let mut post = request(&GOOD);
        *post.method_mut() = Method::POST;
        let refused = accept::<DuplexStream, _>(&mut post, Limits::default()).err();
        assert_eq!(refused, Some(HandshakeError::Method));
    }
}
