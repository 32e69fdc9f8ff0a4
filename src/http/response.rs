//! HTTP replies and API errors. Every error has the same JSON shape (`docs/protocol.md#errors`).

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

/// A complete response. Bodies are small and not streamed.
pub type Response = hyper::Response<Full<Bytes>>;

/// A response that is still being built: status, headers and body.
#[derive(Debug)]
pub struct Reply {
    status: StatusCode,
    content_type: &'static str,
    headers: HeaderMap,
    body: Bytes,
}

const JSON: &str = "application/json; charset=utf-8";

impl Reply {
    /// 200 with a JSON body.
    pub fn ok(value: &impl Serialize) -> Self {
        Self::json(StatusCode::OK, value)
    }

    /// 201 with the created resource as a JSON body.
    pub fn created(value: &impl Serialize) -> Self {
        Self::json(StatusCode::CREATED, value)
    }

    /// 204 without a body.
    pub fn no_content() -> Self {
        Self {
            body: Bytes::new(),
            ..Self::json(StatusCode::NO_CONTENT, &())
        }
    }

    pub fn json(status: StatusCode, value: &impl Serialize) -> Self {
        Self {
            status,
            content_type: JSON,
            headers: HeaderMap::new(),
            body: to_json(value).into(),
        }
    }

    /// 200 with a body of another content type.
    pub fn bytes(content_type: &'static str, body: impl Into<Bytes>) -> Self {
        Self {
            status: StatusCode::OK,
            content_type,
            headers: HeaderMap::new(),
            body: body.into(),
        }
    }

    pub fn with_status(mut self, status: StatusCode) -> Self {
        self.status = status;
        self
    }

    /// Adds a header. An invalid value is logged and left out.
    pub fn with_header(mut self, name: HeaderName, value: &str) -> Self {
        match HeaderValue::from_str(value) {
            Ok(value) => {
                self.headers.append(name, value);
            }
            Err(_) => tracing::error!(%name, "response header omitted: its value is invalid"),
        }
        self
    }

    /// Restores a reply that was stored for an `Idempotency-Key`.
    pub fn from_stored(stored: StoredResponse) -> Self {
        Self {
            body: stored.body.into(),
            ..Self::json(StatusCode::from_u16(stored.status).unwrap_or_default(), &())
        }
    }

    /// The reply as stored for an `Idempotency-Key`. It must be JSON without additional headers.
    pub fn to_stored(&self) -> StoredResponse {
        debug_assert!(self.content_type == JSON && self.headers.is_empty());
        StoredResponse {
            status: self.status.as_u16(),
            body: self.body.to_vec(),
        }
    }

    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// Converts the reply to hyper's response. Unless the handler set `Cache-Control`, clients must not store it.
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

/// An error response: a status, a code for programs and a message for people.
#[derive(Debug)]
pub struct ApiError {
    status: StatusCode,
    code: &'static str,
    message: String,
    field: Option<&'static str>,
    header: Option<(HeaderName, String)>,
}

impl ApiError {
    pub fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self {
            status,
            code,
            message: message.into(),
            field: None,
            header: None,
        }
    }

    /// 422: a field, query parameter or header is invalid. The message names it and the rule.
    pub fn field(field: &'static str, message: impl Into<String>) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid_field", message).of_field(field)
    }

    /// 403. The message is the same whether the resource exists or not.
    pub fn forbidden() -> Self {
        Self::new(
            StatusCode::FORBIDDEN,
            "forbidden",
            "You are not allowed to do this",
        )
    }

    /// 401: the token is missing or not accepted.
    pub fn unauthenticated(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, code, message)
            .with_header(WWW_AUTHENTICATE, "Bearer".to_owned())
    }

    /// 404: there is no such `resource`, for example "area".
    pub fn not_found(resource: &str) -> Self {
        Self::new(
            StatusCode::NOT_FOUND,
            "not_found",
            format!("There is no such {resource}"),
        )
    }

    /// 405: the path supports only the methods in `allowed`, separated by commas.
    pub fn method_not_allowed(allowed: &str) -> Self {
        Self::new(
            StatusCode::METHOD_NOT_ALLOWED,
            "method_not_allowed",
            format!("This path supports only {allowed}"),
        )
        .with_header(ALLOW, allowed.to_owned())
    }

    /// 429: the client may retry after `wait`.
    pub fn too_many(message: impl Into<String>, wait: Duration) -> Self {
        Self::new(StatusCode::TOO_MANY_REQUESTS, "rate_limited", message)
            .with_header(RETRY_AFTER, retry_after(wait))
    }

    /// 503: the client may retry after 5 seconds.
    pub fn unavailable(message: impl Into<String>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", message)
            .with_header(RETRY_AFTER, "5".to_owned())
    }

    /// Sets the field, query parameter or header that is invalid.
    pub fn of_field(mut self, field: &'static str) -> Self {
        self.field = Some(field);
        self
    }

    /// Sets a header of the response, replacing an earlier one.
    pub fn with_header(mut self, name: HeaderName, value: String) -> Self {
        self.header = Some((name, value));
        self
    }

    pub fn code(&self) -> &'static str {
        self.code
    }

    pub fn message(&self) -> &str {
        &self.message
    }

    pub fn status(&self) -> StatusCode {
        self.status
    }

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

/// The value of `Retry-After`: seconds, rounded up (RFC 9110 section 10.2.3).
fn retry_after(wait: Duration) -> String {
    (wait.as_millis().div_ceil(1000)).max(1).to_string()
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Unavailable(_) | StoreError::Stopped => {
                tracing::warn!(%error, "request failed: the store is unavailable");
                Self::unavailable(
                    "Wallcast cannot write to its disk at the moment; try again later",
                )
            }
            StoreError::Failed(_) | StoreError::Panicked => {
                tracing::error!(%error, "request failed: internal error");
                Self::new(
                    StatusCode::INTERNAL_SERVER_ERROR,
                    "internal_error",
                    "Internal error; see the log of Wallcast",
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
