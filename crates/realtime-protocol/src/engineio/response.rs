//! HTTP responses of Engine.IO: polling payloads, and errors in the format of the reference server.

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use hyper::{Response, StatusCode};

/// Why a request is rejected. The texts are those of the reference server where it has one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum RequestError {
    #[error("Transport unknown")]
    UnknownTransport,
    #[error("Session ID unknown")]
    UnknownSession,
    #[error("Bad handshake method")]
    BadHandshakeMethod,
    #[error("Bad request")]
    BadRequest,
    #[error("Unsupported protocol version")]
    UnsupportedVersion,
    #[error("Payload too large")]
    TooLarge,
    #[error("Not found")]
    NotFound,
    #[error("No random numbers available")]
    RandomUnavailable,
}

impl RequestError {
    fn status(self) -> StatusCode {
        match self {
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::RandomUnavailable => StatusCode::INTERNAL_SERVER_ERROR,
            _ => StatusCode::BAD_REQUEST,
        }
    }

    /// The reference server's error code. Errors that it does not know are sent as 3, "Bad request".
    fn code(self) -> u8 {
        match self {
            Self::UnknownTransport => 0,
            Self::UnknownSession => 1,
            Self::BadHandshakeMethod => 2,
            Self::BadRequest | Self::TooLarge | Self::NotFound | Self::RandomUnavailable => 3,
            Self::UnsupportedVersion => 5,
        }
    }

    pub(super) fn response(self) -> Response<Full<Bytes>> {
        let body = format!(r#"{{"code":{},"message":"{self}"}}"#, self.code());
        response_with(self.status(), "application/json", body)
    }
}

/// The response to a successful handshake, poll or POST.
pub(super) fn payload(text: impl Into<Bytes>) -> Response<Full<Bytes>> {
    response_with(StatusCode::OK, "text/plain; charset=UTF-8", text)
}

fn response_with(
    status: StatusCode,
    content_type: &'static str,
    body: impl Into<Bytes>,
) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
