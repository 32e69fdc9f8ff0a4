//! Reads a request's body within its limits of size and time.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt as _;
use hyper::StatusCode;
use hyper::body::Incoming;
use tokio::time::timeout;

use crate::http::ApiError;

/// The largest body of a request: 64 KiB (`docs/protocol.md#http-conventions`).
const MAX_BODY: usize = 64 * 1024;
/// A body over [`MAX_BODY`] is read and discarded up to this size. If the server stopped reading earlier, the
/// connection would be reset and the client would not receive the response.
const MAX_DISCARDED: usize = 1024 * 1024;
const BODY_TIMEOUT: Duration = Duration::from_secs(20);

/// Reads the whole body.
///
/// # Errors
/// 413 over 64 KiB, 408 after 20 s, 400 if the connection ends before the body does.
pub(crate) async fn read(body: Incoming) -> Result<Bytes, ApiError> {
    timeout(BODY_TIMEOUT, read_within_limit(body))
        .await
        .unwrap_or_else(|_| {
            Err(ApiError::new(
                StatusCode::REQUEST_TIMEOUT,
                "request_timeout",
                "The request body was not received within 20 seconds",
            ))
        })
}

async fn read_within_limit(mut body: Incoming) -> Result<Bytes, ApiError> {
    let mut read = BytesMut::new();
    let mut size = 0;
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| {
            ApiError::new(
                StatusCode::BAD_REQUEST,
                "incomplete_body",
                "The connection ended before the request body was complete",
            )
        })?;
        let Ok(data) = frame.into_data() else {
            continue;
        };
        size += data.len();
        if size <= MAX_BODY {
            read.extend_from_slice(&data);
        } else if size > MAX_DISCARDED {
            break;
        }
    }
    if size > MAX_BODY {
        let message = "The request body must not exceed 64 KiB";
        return Err(ApiError::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "body_too_large",
            message,
        ));
    }
    Ok(read.freeze())
}
