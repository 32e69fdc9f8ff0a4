//! The opening handshake (RFC 6455 section 4.2) for hyper requests. After it, the WebSocket owns the raw stream and
//! none of hyper's buffers.

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

/// Why a request is not a valid opening handshake.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HandshakeError {
    /// The request does not ask for an upgrade to `websocket`. Status 426.
    #[error("this path requires WebSocket: send `Connection: Upgrade` and `Upgrade: websocket`")]
    NotAnUpgrade,
    /// The WebSocket version is not 13. Status 426.
    #[error("only WebSocket version 13 is supported: send `Sec-WebSocket-Version: 13`")]
    Version,
    /// The request is not a GET over HTTP/1.1. Status 400.
    #[error("a WebSocket handshake must be a GET request over HTTP/1.1")]
    Method,
    /// `Sec-WebSocket-Key` is missing or not 16 bytes in base64. Status 400.
    #[error("`Sec-WebSocket-Key` must be 16 random bytes in base64")]
    Key,
}

impl HandshakeError {
    /// The HTTP status of the error: 426 or 400.
    pub fn status(self) -> StatusCode {
        match self {
            Self::NotAnUpgrade | Self::Version => StatusCode::UPGRADE_REQUIRED,
            Self::Method | Self::Key => StatusCode::BAD_REQUEST,
        }
    }

    /// The error response, with the headers that RFC 9110 requires for 426.
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

/// Why no WebSocket resulted although the 101 response was returned.
#[derive(Debug, thiserror::Error)]
pub enum UpgradeError {
    /// The connection closed before hyper released it.
    #[error("the connection closed before the upgrade: {0}")]
    Gone(#[from] hyper::Error),
    /// The HTTP server uses another stream type than the caller of [`accept`] gave.
    #[error(
        "the stream type given to `accept` is not the type that the HTTP server wraps in `TokioIo`"
    )]
    OtherStream,
}

/// Whether the request asks for an upgrade to WebSocket. It may still be an invalid handshake.
pub fn is_upgrade<B>(request: &Request<B>) -> bool {
    has_token(request.headers(), &CONNECTION, "upgrade")
        && has_token(request.headers(), &UPGRADE, "websocket")
}

/// Accepts an opening handshake. Returns the 101 response and a future of the WebSocket, to be awaited in another
/// task: it is ready after hyper has sent the response.
///
/// `S` is the stream type that the HTTP server wraps in `TokioIo` and serves `with_upgrades`. Offered extensions and
/// subprotocols are not accepted.
///
/// # Errors
/// The request is not a valid handshake.
pub fn accept<S, B>(
    request: &mut Request<B>,
    limits: Limits,
) -> Result<(Response<Full<Bytes>>, UpgradeFuture<S>), HandshakeError> {
    let response = handshake_response(request)?;
    let upgrading = UpgradeFuture {
        upgrade: hyper::upgrade::on(request),
        limits,
        stream: PhantomData,
    };
    Ok((response, upgrading))
}

/// Returns only the 101 response, for applications that take the stream out of hyper themselves and pass it to
/// [`WebSocket::with_pending_response`].
///
/// # Errors
/// The request is not a valid handshake.
pub fn handshake_response<B>(
    request: &Request<B>,
) -> Result<Response<Full<Bytes>>, HandshakeError> {
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

/// A future that is ready when hyper has sent the 101 response and released the stream.
pub struct UpgradeFuture<S> {
    upgrade: OnUpgrade,
    limits: Limits,
    stream: PhantomData<fn() -> S>,
}

impl<S: ByteStream> Future for UpgradeFuture<S> {
    type Output = Result<WebSocket<S>, UpgradeError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let Poll::Ready(upgraded) = Pin::new(&mut self.upgrade).poll(cx)? else {
            return Poll::Pending;
        };
        Poll::Ready(match upgraded.downcast::<TokioIo<S>>() {
            // hyper may have read the client's first frames together with the request.
            Ok(parts) => Ok(WebSocket::new(
                parts.io.into_inner(),
                parts.read_buf,
                self.limits,
            )),
            Err(_) => Err(UpgradeError::OtherStream),
        })
    }
}

/// Whether a comma-separated header, possibly repeated, contains the token. Ignores case.
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

    fn error_of(headers: &[(&str, &str)]) -> HandshakeError {
        accept::<DuplexStream, _>(&mut request(headers), Limits::default())
            .err()
            .unwrap()
    }

    #[test]
    fn handshake_with_rfc_key_returns_rfc_accept_value() {
        let mut request = request(&GOOD);
        let (response, _) = accept::<DuplexStream, _>(&mut request, Limits::default()).unwrap();
        assert_eq!(response.status(), StatusCode::SWITCHING_PROTOCOLS);
        assert_eq!(
            response.headers()[SEC_WEBSOCKET_ACCEPT],
            "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
        );
    }

    #[test]
    fn invalid_handshake_is_rejected() {
        assert_eq!(error_of(&GOOD[1..]), HandshakeError::NotAnUpgrade);
        assert_eq!(error_of(&GOOD[..3]), HandshakeError::Key);
        let mut wrong = GOOD;
        wrong[2].1 = "8";
        assert_eq!(error_of(&wrong), HandshakeError::Version);
        assert_eq!(
            HandshakeError::Version.response().headers()[SEC_WEBSOCKET_VERSION],
            "13"
        );
        wrong = GOOD;
        wrong[3].1 = "c2hvcnQ=";
        assert_eq!(error_of(&wrong), HandshakeError::Key);
        let mut post = request(&GOOD);
        *post.method_mut() = Method::POST;
        let refused = accept::<DuplexStream, _>(&mut post, Limits::default()).err();
        assert_eq!(refused, Some(HandshakeError::Method));
    }
}
