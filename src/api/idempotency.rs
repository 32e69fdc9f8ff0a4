//! The header `Idempotency-Key` of contract section 6, from the request to its refusals.

use std::time::Duration;

use hyper::StatusCode;
use hyper::header::{HeaderName, RETRY_AFTER};
use hyper::http::request::Parts;

use crate::app::App;
use crate::http::ApiError;
use wallcast_core::auth::Subject;
use wallcast_core::idempotency::{Attempt, BeginError, InvalidKey, Key};

const HEADER: HeaderName = HeaderName::from_static("idempotency-key");
const SHOWN: &str = "Idempotency-Key";
/// When to ask again while the first request is under way.
const SOON: Duration = Duration::from_secs(1);

/// Begins a write of `subject`; none if it brings no key.
///
/// # Errors
/// 422 for what is no key or was used for another body, 409 while the same request is under way.
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
        Self::field(SHOWN, error.to_string())
    }
}

impl From<BeginError> for ApiError {
    fn from(refused: BeginError) -> Self {
        let message = refused.to_string();
        match refused {
            BeginError::InFlight => {
                Self::new(StatusCode::CONFLICT, "idempotency_key_in_flight", message)
                    .with_header(RETRY_AFTER, SOON.as_secs().to_string())
            }
            BeginError::Reused => Self::new(
                StatusCode::UNPROCESSABLE_ENTITY,
                "idempotency_key_reused",
                message,
            )
            .of_field(SHOWN),
            BeginError::Store(error) => error.into(),
        }
    }
}
