//! Engine.IO's answers over HTTP: the errors with the reference server's codes, and polling's plain text.

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use hyper::{Response, StatusCode};

/// Why a request is not served.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Refusal {
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
    #[error("The system gives no random numbers")]
    NoRandom,
}

impl Refusal {
    fn status(self) -> StatusCode {
        match self {
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::NoRandom => StatusCode::INTERNAL_SERVER_ERROR,
            _ => StatusCode::BAD_REQUEST,
        }
    }

    /// The codes of the reference server, which clients print; 3 stands for all it has no code for.
    fn code(self) -> u8 {
        match self {
            Self::UnknownTransport => 0,
            Self::UnknownSession => 1,
            Self::BadHandshakeMethod => 2,
            Self::BadRequest | Self::TooLarge | Self::NotFound | Self::NoRandom => 3,
            Self::UnsupportedVersion => 5,
        }
    }

    pub(super) fn response(self) -> Response<Full<Bytes>> {
        let body = format!(r#"{{"code":{},"message":"{self}"}}"#, self.code());
        answer(self.status(), "application/json", body)
    }
}

/// The answer to a poll or a push that went well.
pub(super) fn payload(text: impl Into<Bytes>) -> Response<Full<Bytes>> {
    answer(StatusCode::OK, "text/plain; charset=UTF-8", text)
}

fn answer(
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
