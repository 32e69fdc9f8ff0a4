//! The cookie `sessionId`, which authenticates browsers (`docs/protocol.md#session-ids`).

use hyper::HeaderMap;
use hyper::header::COOKIE;

pub const SESSION_COOKIE: &str = "sessionId";

/// The session id in the request's cookie. `None` if it is missing or empty.
pub fn session_cookie(headers: &HeaderMap) -> Option<String> {
    headers
        .get_all(COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .find(|(name, value)| *name == SESSION_COOKIE && !value.is_empty())
        .map(|(_, value)| value.to_owned())
}
