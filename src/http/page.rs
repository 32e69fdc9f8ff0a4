//! Pages of a list: the opaque `cursor` of contract section 6.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::http::{ApiError, Reply, Request};

/// The place after which the next page begins, as its caller brought it.
///
/// # Errors
/// 422 when it is none of ours.
pub fn cursor<K: DeserializeOwned>(request: &Request) -> Result<Option<K>, ApiError> {
    let Some(text) = request.query("cursor").filter(|text| !text.is_empty()) else {
        return Ok(None);
    };
    URL_SAFE_NO_PAD
        .decode(text)
        .ok()
        .and_then(|bytes| serde_json::from_slice(&bytes).ok())
        .map(Some)
        .ok_or_else(|| ApiError::field("cursor", "cursor is not one that Wallcast gave"))
}

/// `{plural: [...], "nextCursor": ...}`, from the arguments of [`cut`].
pub fn reply<T, K: Serialize, S: Serialize>(
    plural: &str,
    rows: Vec<T>,
    limit: usize,
    key: impl Fn(&T) -> K,
    show: impl Fn(T) -> S,
) -> Reply {
    let (shown, next) = cut(rows, limit, key, show);
    let mut body = Map::new();
    body.insert(plural.to_owned(), serde_json::json!(shown));
    body.insert("nextCursor".to_owned(), next);
    Reply::ok(&body)
}

/// A page's rows, and the cursor of the next one, `null` on the last. `rows` holds up to one more
/// than `limit`, which says that there is a next page; `key` names a row's place and `show` makes
/// its JSON.
pub fn cut<T, K: Serialize, S: Serialize>(
    mut rows: Vec<T>,
    limit: usize,
    key: impl Fn(&T) -> K,
    show: impl Fn(T) -> S,
) -> (Vec<S>, Value) {
    let more = rows.len() > limit;
    rows.truncate(limit);
    let next = rows
        .last()
        .filter(|_| more)
        .map(|last| URL_SAFE_NO_PAD.encode(wallcast_core::event::to_json(&key(last))));
    let shown = rows.into_iter().map(show).collect();
    (shown, next.map_or(Value::Null, Value::String))
}
