//! Reading a request's body, no further than its bound.

use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt as _;
use hyper::StatusCode;
use hyper::body::{Body, Incoming};

use super::ApiError;

/// The largest body of a request (contract section 6).
const MAX_BODY: usize = 64 * 1024;

/// The whole body.
///
/// # Errors
/// 413 beyond 64 KiB, 400 when the peer breaks off.
pub(super) async fn read(mut body: Incoming) -> Result<Bytes, ApiError> {
    if body.size_hint().lower() > MAX_BODY as u64 {
        return Err(too_large());
    }
    let mut read = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| {
            ApiError::new(
                StatusCode::BAD_REQUEST,
                "incomplete_body",
                "The body broke off",
            )
        })?;
        if let Ok(data) = frame.into_data() {
            if read.len() + data.len() > MAX_BODY {
                return Err(too_large());
            }
            read.extend_from_slice(&data);
        }
    }
    Ok(read.freeze())
}

fn too_large() -> ApiError {
    ApiError::new(
        StatusCode::PAYLOAD_TOO_LARGE,
        "body_too_large",
        "The body is over 64 KiB",
    )
}
