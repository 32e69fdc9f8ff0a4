//! `POST /api/send`: posts one client message to an open session of the caller. It lets SSE clients send messages,
//! which their connection cannot carry (`docs/protocol.md#client-messages`).

use std::sync::Arc;
use std::time::Duration;

use hyper::StatusCode;
use hyper::header::{RETRY_AFTER, WWW_AUTHENTICATE};
use serde_json::Value;
use tokio::sync::oneshot;
use tokio::time::timeout;
use wallcast_core::hub::{PostError, PostedMessage};
use wallcast_core::ids::ConnectionId;

use super::codec::read_message;
use crate::app::App;
use crate::http::{ApiError, Reply, Request};

/// How long to wait for the session's reply. A session that replays history reads no messages.
const REPLY_TIMEOUT: Duration = Duration::from_secs(10);
/// `Retry-After` if too many posted messages are queued.
const RETRY_AFTER_FULL: Duration = Duration::from_secs(1);

/// Posts a message to the session `connectionId` of any dialect. The response is the data that a `result` event
/// would have.
///
/// # Errors
/// 403 unless the session is the caller's, 409 if it ends before it replies, 503 if it does not reply in 10 s, 429
/// if too many messages are queued for it.
pub async fn send(app: Arc<App>, request: Request) -> Result<Reply, ApiError> {
    if request.body_len() > app.config.max_message_bytes {
        return Err(ApiError::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "body_too_large",
            "The body is longer than `max_message_bytes`",
        ));
    }
    let mut fields = request.fields()?;
    let connection: ConnectionId = fields.required("connectionId")?;
    let (message_type, data) = read_message(fields.into_object())
        .map_err(|text| ApiError::new(StatusCode::BAD_REQUEST, "invalid_message", text))?;
    let (reply_sender, reply_data) = oneshot::channel();
    {
        // The session is not held while waiting: dropping it must drop its messages, which ends the wait.
        let caller = &request.principal()?.subject;
        let session = app.hub.session(&connection);
        let own = session.filter(|session| session.subject() == caller);
        let session = own.ok_or_else(ApiError::forbidden)?;
        session
            .post(PostedMessage {
                message_type,
                data,
                bytes: request.body_len(),
                reply_sender,
            })
            .map_err(post_error)?;
    }
    match timeout(REPLY_TIMEOUT, reply_data).await {
        Ok(Ok(data)) => Ok(reply(&data)),
        Ok(Err(_)) => Err(post_error(PostError::Ended)),
        Err(_) => Err(ApiError::unavailable(
            "The session did not reply in time, it may be replaying events; send the message again",
        )),
    }
}

fn post_error(error: PostError) -> ApiError {
    match error {
        PostError::Full => ApiError::too_many(error.to_string(), RETRY_AFTER_FULL),
        PostError::Ended => ApiError::new(StatusCode::CONFLICT, "session_ended", error.to_string()),
    }
}

/// A `result`'s data as an HTTP response. An error gets the status that belongs to its code.
fn reply(data: &Value) -> Reply {
    if data["success"] == true {
        return Reply::ok(data);
    }
    let status = status_of(data["code"].as_str().unwrap_or_default());
    let reply = Reply::json(status, data);
    match status {
        StatusCode::UNAUTHORIZED => reply.with_header(WWW_AUTHENTICATE, "Bearer"),
        StatusCode::TOO_MANY_REQUESTS => reply.with_header(RETRY_AFTER, "1"),
        StatusCode::SERVICE_UNAVAILABLE => reply.with_header(RETRY_AFTER, "5"),
        _ => reply,
    }
}

/// The HTTP status of an error code that a message may fail with (`docs/protocol.md#errors`).
fn status_of(code: &str) -> StatusCode {
    match code {
        "unauthenticated" | "invalid_token" | "token_expired" | "token_mismatch" | "revoked"
        | "inactive" => StatusCode::UNAUTHORIZED,
        "forbidden" => StatusCode::FORBIDDEN,
        "not_found" => StatusCode::NOT_FOUND,
        "already_authenticated" | "already_ended" | "too_many_open" | "too_many_rooms" => {
            StatusCode::CONFLICT
        }
        "invalid_field" => StatusCode::UNPROCESSABLE_ENTITY,
        "rate_limited" => StatusCode::TOO_MANY_REQUESTS,
        "unavailable" => StatusCode::SERVICE_UNAVAILABLE,
        _ => StatusCode::BAD_REQUEST,
    }
}
