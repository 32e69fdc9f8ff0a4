//! The head of an answer on a connection that was taken out of the server's hands; knows nothing of what follows it.

use hyper::http::response::Parts;

/// The head as it goes over the wire (RFC 9112 section 2.1).
pub(super) fn written(head: &Parts) -> Vec<u8> {
    let mut bytes = format!("HTTP/1.1 {}\r\n", head.status).into_bytes();
    for (name, value) in &head.headers {
        for part in [name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"] {
            bytes.extend_from_slice(part);
        }
    }
    bytes.extend_from_slice(b"\r\n");
    bytes
}
