//! The header `Idempotency-Key` (`docs/protocol.md#idempotency`): reads it from a request and converts its errors.

use std::time::Duration;

use hyper::StatusCode;
use hyper::header::{HeaderName, RETRY_AFTER};
use hyper::http::request::Parts;
use wallcast_core::auth::Subject;
use wallcast_core::idempotency::{Attempt, BeginError, InvalidKey, Key};

use crate::app::App;
use crate::http::ApiError;

const HEADER: HeaderName = HeaderName::from_static("idempotency-key");
const FIELD: &str = "Idempotency-Key";
/// When a client may retry while its first request is still running.
const RETRY_AFTER_IN_FLIGHT: Duration = Duration::from_secs(1);

/// Claims the key of a write by `subject`. Returns `None` if the request has no key.
///
/// # Errors
/// 422 if the key is invalid or was used with another body, 409 while the same request is still running.
pub(super) async fn begin(
    app: &App,
    head: &Parts,
    subject: &Subject,
    body: &[u8],
) -> Result<Option<Attempt>, ApiError> {
    let mut values = head.headers.get_all(HEADER).iter();
    let value = match (values.next(), values.next()) {
        (None, _) => return Ok(None),
        (Some(value), None) => value.as_bytes(),
        (Some(_), Some(_)) => return Err(InvalidKey.into()),
    };
    let path = head.uri.path();
    let key = Key::new(subject, head.method.as_str(), path, value, body)?;
    Ok(Some(app.in_flight.begin(&app.store, key).await?))
}

impl From<InvalidKey> for ApiError {
    fn from(error: InvalidKey) -> Self {
        Self::field(FIELD, error.to_string())
    }
}

impl From<BeginError> for ApiError {
    fn from(error: BeginError) -> Self {
        let message = error.to_string();
        match error {
            BeginError::InFlight => {
                Self::new(StatusCode::CONFLICT, "idempotency_key_in_flight", message)
                    .with_header(RETRY_AFTER, RETRY_AFTER_IN_FLIGHT.as_secs().to_string())
            }
            BeginError::Reused => Self::new(
                StatusCode::UNPROCESSABLE_ENTITY,
                "idempotency_key_reused",
                message,
            )
            .of_field(FIELD),
            BeginError::Store(error) => error.into(),
        }
    }
}
