//! Encodes a response head for a stream that was taken out of the HTTP server.

use hyper::http::response::Parts;

/// Encodes the status line and headers (RFC 9112 section 2.1).
pub(super) fn encode(head: &Parts) -> Vec<u8> {
    let mut bytes = format!("HTTP/1.1 {}\r\n", head.status).into_bytes();
    for (name, value) in &head.headers {
        for part in [name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"] {
            bytes.extend_from_slice(part);
        }
    }
    bytes.extend_from_slice(b"\r\n");
    bytes
}
