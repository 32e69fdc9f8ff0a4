//! Reading a request's body, no further than its bounds.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt as _;
use hyper::StatusCode;
use hyper::body::Incoming;
use tokio::time::timeout;

use crate::http::ApiError;

/// The largest body of a request (contract section 6).
const MAX_BODY: usize = 64 * 1024;
/// How much of a larger one is passed over, so that its sender reads the answer and not a reset.
const MAX_PASSED_OVER: usize = 1024 * 1024;
/// How long a body may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// The whole body.
///
/// # Errors
/// 413 beyond 64 KiB, 408 when it takes longer than 20 s, 400 when the peer breaks off.
pub(crate) async fn read(body: Incoming) -> Result<Bytes, ApiError> {
    timeout(PATIENCE, read_on(body)).await.unwrap_or_else(|_| {
        Err(ApiError::new(
            StatusCode::REQUEST_TIMEOUT,
            "request_timeout",
            "The body took too long",
        ))
    })
}

async fn read_on(mut body: Incoming) -> Result<Bytes, ApiError> {
    let mut read = BytesMut::new();
    let mut size = 0;
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| {
            ApiError::new(
                StatusCode::BAD_REQUEST,
                "incomplete_body",
                "The body broke off",
            )
        })?;
        let Ok(data) = frame.into_data() else {
            continue;
        };
        size += data.len();
        if size <= MAX_BODY {
            read.extend_from_slice(&data);
        } else if size > MAX_PASSED_OVER {
            break;
        }
    }
    if size > MAX_BODY {
        let message = "The body is over 64 KiB";
        return Err(ApiError::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "body_too_large",
            message,
        ));
    }
    Ok(read.freeze())
}
