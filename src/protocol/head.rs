//! The head of an answer on a connection that was taken out of the server's hands; knows nothing of what follows it.

use hyper::header::{DATE, HeaderValue};
use hyper::http::response::Parts;
use time::OffsetDateTime;
use time::format_description::BorrowedFormatItem;
use time::macros::format_description;

/// RFC 9110 section 5.6.7.
const HTTP_DATE: &[BorrowedFormatItem<'_>] = format_description!(
    "[weekday repr:short], [day] [month repr:short] [year] [hour]:[minute]:[second] GMT"
);

/// The head as it goes over the wire (RFC 9112 section 2.1), with the date.
pub(super) fn written(mut head: Parts) -> Vec<u8> {
    let now = OffsetDateTime::now_utc().format(HTTP_DATE);
    if let Some(now) = now.ok().and_then(|now| HeaderValue::try_from(now).ok()) {
        head.headers.insert(DATE, now);
    }
    let mut bytes = format!("HTTP/1.1 {}\r\n", head.status).into_bytes();
    for (name, value) in &head.headers {
        for part in [name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"] {
            bytes.extend_from_slice(part);
        }
    }
    bytes.extend_from_slice(b"\r\n");
    bytes
}
