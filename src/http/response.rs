//! What is answered over HTTP: JSON, and errors in the one shape of contract section 6.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{
    ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE,
};
use hyper::{HeaderMap, StatusCode};
use serde::Serialize;

use wallcast_core::clock::Timestamp;
use wallcast_core::event::to_json;
use wallcast_core::idempotency::StoredResponse;
use wallcast_core::store::StoreError;

/// A whole response; bodies are small and never streamed.
pub type Response = hyper::Response<Full<Bytes>>;

/// An answer before it becomes bytes.
#[derive(Debug)]
pub struct Reply {
    status: StatusCode,
    content_type: &'static str,
    headers: HeaderMap,
    body: Bytes,
}

const JSON: &str = "application/json; charset=utf-8";

impl Reply {
    /// 200 and one thing.
    pub fn ok(thing: &impl Serialize) -> Self {
        Self::json(StatusCode::OK, thing)
    }

    /// 201 and what was created.
    pub fn created(thing: &impl Serialize) -> Self {
        Self::json(StatusCode::CREATED, thing)
    }

    /// 204.
    pub fn no_content() -> Self {
        Self {
            body: Bytes::new(),
            ..Self::json(StatusCode::NO_CONTENT, &())
        }
    }

    /// Any status with a JSON body.
    pub fn json(status: StatusCode, thing: &impl Serialize) -> Self {
        Self {
            status,
            content_type: JSON,
            headers: HeaderMap::new(),
            body: to_json(thing).into(),
        }
    }

    /// 200 with a body of another type.
    pub fn bytes(content_type: &'static str, body: impl Into<Bytes>) -> Self {
        Self {
            status: StatusCode::OK,
            content_type,
            headers: HeaderMap::new(),
            body: body.into(),
        }
    }

    /// The same with another status.
    pub fn with_status(mut self, status: StatusCode) -> Self {
        self.status = status;
        self
    }

    /// The same with one more header. A value that is no header text is left out.
    pub fn with_header(mut self, name: HeaderName, value: &str) -> Self {
        match HeaderValue::from_str(value) {
            Ok(value) => {
                self.headers.append(name, value);
            }
            Err(_) => tracing::error!(%name, "a header of our own was malformed"),
        }
        self
    }

    /// An answer that was given before, as it was.
    pub fn again(kept: StoredResponse) -> Self {
        Self {
            body: kept.body.into(),
            ..Self::json(StatusCode::from_u16(kept.status).unwrap_or_default(), &())
        }
    }

    /// The answer as it can be given again.
    pub fn to_keep(&self) -> StoredResponse {
        debug_assert!(self.content_type == JSON && self.headers.is_empty());
        StoredResponse {
            status: self.status.as_u16(),
            body: self.body.to_vec(),
        }
    }

    /// The status.
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// As hyper sends it. API answers are never cached.
    pub fn into_response(self) -> Response {
        let has_body = !matches!(
            self.status,
            StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED
        );
        let mut response = hyper::Response::new(Full::new(self.body));
        *response.status_mut() = self.status;
        *response.headers_mut() = self.headers;
        let headers = response.headers_mut();
        if has_body {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static(self.content_type));
        }
        if !headers.contains_key(CACHE_CONTROL) {
            headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        }
        response
    }
}

/// A refusal: the status, a word for programs, a sentence for people.
#[derive(Debug)]
pub struct ApiError {
    status: StatusCode,
    code: &'static str,
    message: String,
    field: Option<&'static str>,
    header: Option<(HeaderName, String)>,
}

impl ApiError {
    /// Any refusal.
    pub fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self {
            status,
            code,
            message: message.into(),
            field: None,
            header: None,
        }
    }

    /// 422: one field is wrong.
    pub fn field(field: &'static str, message: impl Into<String>) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid_field", message).of_field(field)
    }

    /// 403, which never tells whether the thing exists.
    pub fn forbidden() -> Self {
        Self::new(StatusCode::FORBIDDEN, "forbidden", "You may not do this")
    }

    /// 401: no token, or one that is not accepted.
    pub fn unauthenticated(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, code, message)
            .with_header(WWW_AUTHENTICATE, "Bearer".to_owned())
    }

    /// 404.
    pub fn not_found(what: &str) -> Self {
        Self::new(
            StatusCode::NOT_FOUND,
            "not_found",
            format!("There is no such {what}"),
        )
    }

    /// 405 with the methods that are there.
    pub fn method_not_allowed(allowed: &str) -> Self {
        Self::new(
            StatusCode::METHOD_NOT_ALLOWED,
            "method_not_allowed",
            format!("This path takes {allowed}"),
        )
        .with_header(ALLOW, allowed.to_owned())
    }

    /// 429: come back after `wait`.
    pub fn too_many(message: impl Into<String>, wait: Duration) -> Self {
        Self::new(StatusCode::TOO_MANY_REQUESTS, "rate_limited", message)
            .with_header(RETRY_AFTER, retry_after(wait))
    }

    /// 503: come back soon.
    pub fn unavailable(message: impl Into<String>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", message)
            .with_header(RETRY_AFTER, "5".to_owned())
    }

    /// The same, saying which field or header is at fault.
    pub fn of_field(mut self, field: &'static str) -> Self {
        self.field = Some(field);
        self
    }

    /// The same with a header.
    pub fn with_header(mut self, name: HeaderName, value: String) -> Self {
        self.header = Some((name, value));
        self
    }

    /// The word for programs.
    pub fn code(&self) -> &'static str {
        self.code
    }

    /// The sentence for people.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// The status.
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// The answer.
    pub fn into_reply(self) -> Reply {
        let mut body = serde_json::json!({
            "success": false,
            "error": self.message,
            "code": self.code,
            "timestamp": Timestamp::now(),
        });
        if let (Some(field), Some(body)) = (self.field, body.as_object_mut()) {
            body.insert("field".to_owned(), field.into());
        }
        let reply = Reply::json(self.status, &body);
        match self.header {
            Some((name, value)) => reply.with_header(name, &value),
            None => reply,
        }
    }
}

/// Whole seconds, rounded up, as `Retry-After` wants them (RFC 9110 section 10.2.3).
fn retry_after(wait: Duration) -> String {
    (wait.as_millis().div_ceil(1000)).max(1).to_string()
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Unavailable(_) | StoreError::Stopped => {
                tracing::warn!(%error, "answered 503");
                Self::unavailable("Wallcast cannot write to its disk now; try again in a moment")
            }
            StoreError::Failed(_) | StoreError::Panicked => {
                tracing::error!(%error, "answered 500");
                Self::new(
                    StatusCode::INTERNAL_SERVER_ERROR,
                    "internal_error",
                    "Something failed inside Wallcast; its log says what",
                )
            }
        }
    }
}

impl From<rusqlite::Error> for ApiError {
    fn from(error: rusqlite::Error) -> Self {
        StoreError::from(error).into()
    }
}
