//! Where to connect, and from which event on. An address that carries a secret is none.

use std::{fmt, str::FromStr};

use hyper::Uri;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;

use super::print::Frame;

/// A WebSocket address of Wallcast.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Address {
    /// Whether TLS guards the line.
    pub(super) is_secure: bool,
    /// A name or an address, without brackets.
    pub(super) host: String,
    /// The TCP port.
    pub(super) port: u16,
    /// Path and query, beginning with `/`.
    path: String,
}

#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum NotAnAddress {
    #[error("not an address such as homeassistant.local or wss://homeassistant.local:8443/ws")]
    Malformed,
    #[error("only wss, https, ws and http lead to a Wallcast")]
    Scheme,
    #[error("a token never belongs in a URL: use --token-file or WALLCAST_TOKEN")]
    Secret,
}

/// Where a host that is named without a scheme listens.
const DEFAULT_PORT: u16 = 8443;

impl FromStr for Address {
    type Err = NotAnAddress;

    fn from_str(text: &str) -> Result<Self, NotAnAddress> {
        let (is_secure, default_port, rest) = match text.split_once("://") {
            None => (true, DEFAULT_PORT, text),
            Some((scheme, rest)) => match scheme.to_ascii_lowercase().as_str() {
                "wss" | "https" => (true, 443, rest),
                "ws" | "http" => (false, 80, rest),
                _ => return Err(NotAnAddress::Scheme),
            },
        };
        let uri: Uri = format!("http://{rest}")
            .parse()
            .map_err(|_| NotAnAddress::Malformed)?;
        let authority = uri.authority().ok_or(NotAnAddress::Malformed)?;
        if authority.as_str().contains('@') {
            return Err(NotAnAddress::Secret);
        }
        let has_port = authority.as_str() != authority.host();
        let port = match authority.port_u16() {
            Some(port) => port,
            None if has_port => return Err(NotAnAddress::Malformed),
            None => default_port,
        };
        let host = authority.host().trim_matches(['[', ']']).to_owned();
        if host.is_empty() {
            return Err(NotAnAddress::Malformed);
        }
        Ok(Self {
            is_secure,
            host,
            port,
            path: path(&uri)?,
        })
    }
}

fn path(uri: &Uri) -> Result<String, NotAnAddress> {
    let query = uri.query().unwrap_or_default();
    let is_secret = |key: &str| {
        ["token", "access_token", "sessionid"].contains(&key.to_ascii_lowercase().as_str())
    };
    if form_urlencoded::parse(query.as_bytes()).any(|(key, _)| is_secret(&key)) {
        return Err(NotAnAddress::Secret);
    }
    let path = match uri.path() {
        "" | "/" => "/ws",
        path => path,
    };
    Ok(match query {
        "" => path.to_owned(),
        query => format!("{path}?{query}"),
    })
}

impl Address {
    /// The URL of the next connection, which resumes behind what was seen.
    pub(super) fn url(&self, position: &Position) -> String {
        let Some(seen) = &position.seen else {
            return self.to_string();
        };
        let joint = if self.path.contains('?') { '&' } else { '?' };
        let epoch = utf8_percent_encode(&seen.epoch, NON_ALPHANUMERIC);
        format!("{self}{joint}since={}&epoch={epoch}", seen.id)
    }

    /// Host and port as a URL has them.
    pub(super) fn authority(&self) -> String {
        if self.host.contains(':') {
            format!("[{}]:{}", self.host, self.port)
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.is_secure { "wss" } else { "ws" };
        write!(f, "{scheme}://{}{}", self.authority(), self.path)
    }
}

/// How far the events were seen. Contract, sections 4.2 and 4.4.
#[derive(Default)]
pub(super) struct Position {
    seen: Option<Seen>,
}

struct Seen {
    epoch: String,
    id: u64,
}

impl Position {
    /// Moves on with a frame: a greeting of a new epoch starts over, everything with an id goes forward.
    pub(super) fn advance(&mut self, frame: &Frame) {
        let last = frame.data("lastEventId").and_then(Value::as_u64);
        match (frame.kind(), &mut self.seen) {
            ("connection" | "connected", seen) => {
                let epoch = frame.data("epoch").and_then(Value::as_str);
                let is_new = |epoch: &str| seen.as_ref().is_none_or(|seen| seen.epoch != epoch);
                if let (Some(epoch), Some(id)) = (epoch, last)
                    && is_new(epoch)
                {
                    *seen = Some(Seen {
                        epoch: epoch.to_owned(),
                        id,
                    });
                }
            }
            ("heartbeat", Some(seen)) => seen.id = seen.id.max(last.unwrap_or(0)),
            // Behind a gap there is nothing to wait for: on from what the server has now.
            ("resync_required", Some(seen)) => seen.id = last.unwrap_or(seen.id),
            (_, Some(seen)) => seen.id = seen.id.max(frame.id().unwrap_or(0)),
            (_, None) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Address, Frame, NotAnAddress, Position};

    #[test]
    fn every_form_leads_to_one_url() {
        for (said, meant) in [
            ("homeassistant.local", "wss://homeassistant.local:8443/ws"),
            (
                "homeassistant.local:9000",
                "wss://homeassistant.local:9000/ws",
            ),
            ("ha.local/ws/help", "wss://ha.local:8443/ws/help"),
            ("192.0.2.7", "wss://192.0.2.7:8443/ws"),
            ("[::1]", "wss://[::1]:8443/ws"),
            ("https://ha.local:8443", "wss://ha.local:8443/ws"),
            ("https://ha.local:8443/", "wss://ha.local:8443/ws"),
            ("https://wallcast.example", "wss://wallcast.example:443/ws"),
            (
                "WSS://ha.local:8443/ws/lockers",
                "wss://ha.local:8443/ws/lockers",
            ),
            ("ws://127.0.0.1:8080", "ws://127.0.0.1:8080/ws"),
            ("http://[::1]:8080/ws", "ws://[::1]:8080/ws"),
            (
                "wss://ha.local:8443/ws?since=4",
                "wss://ha.local:8443/ws?since=4",
            ),
        ] {
            assert_eq!(said.parse::<Address>().unwrap().to_string(), meant);
        }
    }

    #[test]
    fn refuses_secrets_and_nonsense() {
        for (text, error) in [
            ("", NotAnAddress::Malformed),
            ("wss://", NotAnAddress::Malformed),
            ("ha.local:x", NotAnAddress::Malformed),
            ("ha.local:99999", NotAnAddress::Malformed),
            ("ftp://ha.local", NotAnAddress::Scheme),
            ("wss://ha.local/ws?token=x", NotAnAddress::Secret),
            ("wss://ha.local/ws?%74oken=x", NotAnAddress::Secret),
            ("wss://ha.local/ws?a=b&sessionId=x", NotAnAddress::Secret),
            ("wss://me:secret@ha.local/ws", NotAnAddress::Secret),
        ] {
            assert_eq!(text.parse::<Address>(), Err(error), "{text:?}");
        }
    }

    #[test]
    fn the_next_connection_resumes() {
        let address: Address = "ws://h:1/ws".parse().unwrap();
        let mut position = Position::default();
        let frames = [
            (r#"{"type":"area_added","id":1}"#, "ws://h:1/ws"),
            (
                r#"{"type":"connection","data":{"epoch":"a/b","lastEventId":5}}"#,
                "ws://h:1/ws?since=5&epoch=a%2Fb",
            ),
            (
                r#"{"type":"area_added","id":7}"#,
                "ws://h:1/ws?since=7&epoch=a%2Fb",
            ),
            (
                r#"{"type":"heartbeat","data":{"lastEventId":9}}"#,
                "ws://h:1/ws?since=9&epoch=a%2Fb",
            ),
            (
                r#"{"type":"connection","data":{"epoch":"a/b","lastEventId":12}}"#,
                "ws://h:1/ws?since=9&epoch=a%2Fb",
            ),
            (
                r#"{"type":"connection","data":{"epoch":"c","lastEventId":2}}"#,
                "ws://h:1/ws?since=2&epoch=c",
            ),
            (
                r#"{"type":"resync_required","data":{"lastEventId":1}}"#,
                "ws://h:1/ws?since=1&epoch=c",
            ),
        ];
        for (text, url) in frames {
            position.advance(&Frame::parse(text));
            assert_eq!(address.url(&position), url, "after {text}");
        }
    }
}
