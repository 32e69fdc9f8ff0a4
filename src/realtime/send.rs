//! `POST /api/send` (contract 4.3): one message of contract 4.5 for an open session of the caller, so
//! that whoever has no WebSocket can do all the same.

use std::sync::Arc;
use std::time::Duration;

use hyper::StatusCode;
use hyper::header::{RETRY_AFTER, WWW_AUTHENTICATE};
use serde_json::Value;
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::codec::read_message;
use crate::app::App;
use crate::http::{ApiError, Reply, Request};
use wallcast_core::hub::{PostError, PostedMessage};
use wallcast_core::ids::ConnectionId;

/// How long an answer is waited for: a session that is behind with its events takes no messages.
const PATIENCE: Duration = Duration::from_secs(10);
/// When a message over the rate may be sent again.
const RATE_WAIT: Duration = Duration::from_secs(1);

/// Delivers a message to the session of `connectionId`, of whatever dialect, and answers what a
/// `result` would have as its data.
///
/// # Errors
/// 403 unless the session is the caller's, 409 when it ends before it has answered, 503 when it does
/// not answer in time, 429 when too many messages wait for it.
pub async fn send(app: Arc<App>, request: Request) -> Result<Reply, ApiError> {
    if request.body_len() > app.config.max_message_bytes {
        return Err(ApiError::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "body_too_large",
            "The message is longer than max_message_bytes",
        ));
    }
    let mut fields = request.fields()?;
    let connection: ConnectionId = fields.required("connectionId")?;
    let (kind, data) = read_message(fields.into_object())
        .map_err(|text| ApiError::new(StatusCode::BAD_REQUEST, "invalid_message", text))?;
    let (answer, answered) = oneshot::channel();
    {
        // Not held while waiting: the session lets go of its messages with itself.
        let caller = &request.principal()?.subject;
        let session = app.hub.session(&connection);
        let own = session.filter(|session| session.subject() == caller);
        let session = own.ok_or_else(ApiError::forbidden)?;
        session
            .post(PostedMessage {
                message_type: kind,
                data,
                bytes: request.body_len(),
                answer,
            })
            .map_err(not_posted)?;
    }
    match timeout(PATIENCE, answered).await {
        Ok(Ok(data)) => Ok(reply(&data)),
        Ok(Err(_)) => Err(not_posted(PostError::Ended)),
        Err(_) => Err(ApiError::unavailable(
            "The session is behind with its events and takes no messages now; send it again",
        )),
    }
}

fn not_posted(error: PostError) -> ApiError {
    match error {
        PostError::Full => ApiError::too_many(error.to_string(), RATE_WAIT),
        PostError::Ended => ApiError::new(StatusCode::CONFLICT, "session_ended", error.to_string()),
    }
}

/// A result's data as an answer over HTTP: a failure of it has the status that its code stands for.
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

/// The status of contract section 6 for what a message may fail with.
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
