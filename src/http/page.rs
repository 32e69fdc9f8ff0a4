//! Pages of a list and their opaque `cursor` (`docs/protocol.md#lists`).

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use wallcast_core::event;

use crate::http::{ApiError, Reply, Request};

/// Decodes the query parameter `cursor`: the key of the last row on the previous page.
///
/// # Errors
/// 422 if it is not a cursor of this list.
pub fn cursor<K: DeserializeOwned>(request: &Request) -> Result<Option<K>, ApiError> {
    let Some(text) = request.query("cursor").filter(|text| !text.is_empty()) else {
        return Ok(None);
    };
    URL_SAFE_NO_PAD
        .decode(text)
        .ok()
        .and_then(|bytes| serde_json::from_slice(&bytes).ok())
        .map(Some)
        .ok_or_else(|| {
            ApiError::field(
                "cursor",
                "`cursor` must be the `nextCursor` of a previous page",
            )
        })
}

/// Builds the reply `{plural: [...], "nextCursor": ...}`. The other arguments are those of [`split`].
pub fn reply<T, K: Serialize, S: Serialize>(
    plural: &str,
    rows: Vec<T>,
    limit: usize,
    key: impl Fn(&T) -> K,
    to_json: impl Fn(T) -> S,
) -> Reply {
    let (page, next) = split(rows, limit, key, to_json);
    let mut body = Map::new();
    body.insert(plural.to_owned(), serde_json::json!(page));
    body.insert("nextCursor".to_owned(), next);
    Reply::ok(&body)
}

/// Splits `rows` into a page of at most `limit` rows and the cursor of the next page, which is `null` on the last
/// page. Callers query `limit + 1` rows, so that the additional row shows whether there is a next page. `key` is a
/// row's position in the list's order; `to_json` converts a row.
pub fn split<T, K: Serialize, S: Serialize>(
    mut rows: Vec<T>,
    limit: usize,
    key: impl Fn(&T) -> K,
    to_json: impl Fn(T) -> S,
) -> (Vec<S>, Value) {
    let has_more = rows.len() > limit;
    rows.truncate(limit);
    let next = rows
        .last()
        .filter(|_| has_more)
        .map(|last| URL_SAFE_NO_PAD.encode(event::to_json(&key(last))));
    let page = rows.into_iter().map(to_json).collect();
    (page, next.map_or(Value::Null, Value::String))
}
