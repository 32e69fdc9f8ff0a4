//! The cookie that carries a session id.

use hyper::HeaderMap;
use hyper::header::COOKIE;

pub const SESSION_COOKIE: &str = "sessionId";

/// The session id in the cookie, if there is one.
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
