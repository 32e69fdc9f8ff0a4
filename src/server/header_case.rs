//! Looks at how a request on the ingress listener spells its headers, which hyper does not show. It
//! decides nothing else, and takes no byte from the connection.
//!
//! Supervisor drops an identity that a browser sent along, but by the exact spelling alone, and its
//! HTTP client lets one in any other spelling take the genuine one's place: a single value arrives,
//! the forged one. Supervisor writes the header with which it says where a request came from by
//! itself, always, and in one spelling: who spells that one as Supervisor does must spell the
//! identity so as well.

use std::io;
use std::time::Duration;

use tokio::net::TcpStream;

const IDENTITY: &str = "X-Remote-User-Id";
const WRITTEN_BY_SUPERVISOR: &str = "X-Forwarded-For";
/// A longer head is not looked through; Supervisor's own limit is 24,570 bytes a line.
const MAX_HEAD: usize = 64 * 1024;
/// As many headers as hyper takes.
const MAX_HEADERS: usize = 100;
/// When the rest of a head is looked for again.
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// Whether the identity in the first request's head may be the browser's own. Waits for the whole
/// head; a head that cannot be read is hyper's to refuse.
///
/// # Errors
/// The connection's.
pub(crate) async fn is_doubtful(stream: &TcpStream) -> io::Result<bool> {
    let mut head = vec![0; MAX_HEAD];
    loop {
        let length = stream.peek(&mut head).await?;
        match doubt(head.get(..length).unwrap_or_default()) {
            Some(doubt) => return Ok(doubt),
            None if length == 0 => return Ok(false),
            None if length == MAX_HEAD => return Ok(true),
            None => tokio::time::sleep(LOOK_EVERY).await,
        }
    }
}

/// None until the head is whole.
fn doubt(head: &[u8]) -> Option<bool> {
    let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut request = httparse::Request::new(&mut headers);
    match request.parse(head) {
        Ok(httparse::Status::Complete(_)) => {}
        Ok(httparse::Status::Partial) => return None,
        Err(_) => return Some(false),
    }
    let names = || request.headers.iter().map(|header| header.name);
    let is_supervisors = names().any(|name| name == WRITTEN_BY_SUPERVISOR);
    let is_foreign = names().any(|name| name.eq_ignore_ascii_case(IDENTITY) && name != IDENTITY);
    Some(is_supervisors && is_foreign)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(headers: &str) -> Option<bool> {
        doubt(format!("GET / HTTP/1.1\r\nHost: a\r\n{headers}").as_bytes())
    }

    #[test]
    fn supervisors_identity_is_spelled_as_its_other_headers() {
        assert_eq!(
            of("X-Remote-User-Id: 1\r\nX-Forwarded-For: a\r\n\r\n"),
            Some(false)
        );
        assert_eq!(
            of("x-remote-user-id: 1\r\nX-Forwarded-For: a\r\n\r\n"),
            Some(true)
        );
        assert_eq!(
            of("X-Forwarded-For: a\r\nX-Remote-User-ID: 1\r\n\r\n"),
            Some(true)
        );
        assert_eq!(of("X-Forwarded-For: a\r\n\r\n"), Some(false));
    }

    #[test]
    fn who_spells_all_in_small_letters_is_no_forger() {
        assert_eq!(
            of("x-remote-user-id: 1\r\nx-forwarded-for: a\r\n\r\n"),
            Some(false)
        );
        assert_eq!(of("x-remote-user-id: 1\r\n\r\n"), Some(false));
    }

    #[test]
    fn a_head_is_judged_when_it_is_whole() {
        assert_eq!(of("x-remote-user-id: 1\r\nX-Forwarded-For: a\r\n"), None);
        assert_eq!(of("x-remote-user-id 1\r\n\r\n"), Some(false));
    }
}
