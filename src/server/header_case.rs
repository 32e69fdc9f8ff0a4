//! Detects forged identity headers on the ingress listener by the letter case of header names, which hyper does not
//! preserve. Peeks at the connection without taking bytes from it.
//!
//! Supervisor removes an identity header that a browser sent, but only in its exact letter case. A header in another
//! case replaces Supervisor's own in its HTTP client, and only the forged value arrives. Supervisor always writes
//! `X-Forwarded-For` itself, in one letter case. So if that header is in Supervisor's case and the identity header is
//! not, the identity comes from the browser.

use std::io;
use std::time::Duration;

use tokio::net::TcpStream;

const IDENTITY: &str = "X-Remote-User-Id";
const WRITTEN_BY_SUPERVISOR: &str = "X-Forwarded-For";
/// A longer head counts as forged; Supervisor's own limit is 24,570 bytes a line.
const MAX_HEAD: usize = 64 * 1024;
/// hyper's limit.
const MAX_HEADERS: usize = 100;
/// How often to peek until the head is complete.
const PEEK_INTERVAL: Duration = Duration::from_millis(5);

/// Whether the identity header of the first request may be forged by the browser. Waits for the complete head. A
/// malformed head counts as not forged, because hyper refuses it.
pub(crate) async fn may_be_forged(stream: &TcpStream) -> io::Result<bool> {
    let mut head = vec![0; MAX_HEAD];
    loop {
        let length = stream.peek(&mut head).await?;
        match check_head(head.get(..length).unwrap_or_default()) {
            Some(may_be_forged) => return Ok(may_be_forged),
            None if length == 0 => return Ok(false),
            None if length == MAX_HEAD => return Ok(true),
            None => tokio::time::sleep(PEEK_INTERVAL).await,
        }
    }
}

/// `None` until the head is complete.
fn check_head(head: &[u8]) -> Option<bool> {
    let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut request = httparse::Request::new(&mut headers);
    match request.parse(head) {
        Ok(httparse::Status::Complete(_)) => {}
        Ok(httparse::Status::Partial) => return None,
        Err(_) => return Some(false),
    }
    let names = || request.headers.iter().map(|header| header.name);
    let is_from_supervisor = names().any(|name| name == WRITTEN_BY_SUPERVISOR);
    let has_other_case =
        names().any(|name| name.eq_ignore_ascii_case(IDENTITY) && name != IDENTITY);
    Some(is_from_supervisor && has_other_case)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(headers: &str) -> Option<bool> {
        check_head(format!("GET / HTTP/1.1\r\nHost: a\r\n{headers}").as_bytes())
    }

    #[test]
    fn identity_in_other_case_than_supervisors_may_be_forged() {
        assert_eq!(
            check("X-Remote-User-Id: 1\r\nX-Forwarded-For: a\r\n\r\n"),
            Some(false)
        );
        assert_eq!(
            check("x-remote-user-id: 1\r\nX-Forwarded-For: a\r\n\r\n"),
            Some(true)
        );
        assert_eq!(
            check("X-Forwarded-For: a\r\nX-Remote-User-ID: 1\r\n\r\n"),
            Some(true)
        );
        assert_eq!(check("X-Forwarded-For: a\r\n\r\n"), Some(false));
    }

    #[test]
    fn identity_is_not_forged_when_all_headers_are_lowercase() {
        assert_eq!(
            check("x-remote-user-id: 1\r\nx-forwarded-for: a\r\n\r\n"),
            Some(false)
        );
        assert_eq!(check("x-remote-user-id: 1\r\n\r\n"), Some(false));
    }

    #[test]
    fn incomplete_head_has_no_result() {
        assert_eq!(check("x-remote-user-id: 1\r\nX-Forwarded-For: a\r\n"), None);
        assert_eq!(check("x-remote-user-id 1\r\n\r\n"), Some(false));
    }
}
