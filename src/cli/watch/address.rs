//! The address to connect to and the position to resume from. Rejects an address that contains a
//! secret.

use std::{fmt, str::FromStr};

use hyper::Uri;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;

use super::print::ServerFrame;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ServerAddress {
    /// Whether to connect with TLS.
    pub(super) is_secure: bool,
    /// A host name or IP address; IPv6 without brackets.
    pub(super) host: String,
    pub(super) port: u16,
    /// Path and query.
    path: String,
}

#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum AddressError {
    #[error("not an address such as homeassistant.local or wss://homeassistant.local:8443/ws")]
    Malformed,
    #[error("the scheme must be wss, https, ws or http")]
    Scheme,
    #[error("a token never belongs in a URL: use --token-file or WALLCAST_TOKEN")]
    Secret,
}

/// The port if neither scheme nor port is given.
const DEFAULT_PORT: u16 = 8443;

impl FromStr for ServerAddress {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let (is_secure, default_port, rest) = match text.split_once("://") {
            None => (true, DEFAULT_PORT, text),
            Some((scheme, rest)) => match scheme.to_ascii_lowercase().as_str() {
                "wss" | "https" => (true, 443, rest),
                "ws" | "http" => (false, 80, rest),
                _ => return Err(AddressError::Scheme),
            },
        };
        let uri: Uri = format!("http://{rest}")
            .parse()
            .map_err(|_| AddressError::Malformed)?;
        let authority = uri.authority().ok_or(AddressError::Malformed)?;
        if authority.as_str().contains('@') {
            return Err(AddressError::Secret);
        }
        let has_port = authority.as_str() != authority.host();
        let port = match authority.port_u16() {
            Some(port) => port,
            None if has_port => return Err(AddressError::Malformed),
            None => default_port,
        };
        let host = authority.host().trim_matches(['[', ']']).to_owned();
        if host.is_empty() {
            return Err(AddressError::Malformed);
        }
        Ok(Self {
            is_secure,
            host,
            port,
            path: path(&uri)?,
        })
    }
}

fn path(uri: &Uri) -> Result<String, AddressError> {
    let query = uri.query().unwrap_or_default();
    let is_secret = |key: &str| {
        ["token", "access_token", "sessionid"].contains(&key.to_ascii_lowercase().as_str())
    };
    if form_urlencoded::parse(query.as_bytes()).any(|(key, _)| is_secret(&key)) {
        return Err(AddressError::Secret);
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

impl ServerAddress {
    /// The URL of the next connection, with the resume position if there is one.
    pub(super) fn url(&self, position: &LastPosition) -> String {
        let Some(last) = &position.last_event else {
            return self.to_string();
        };
        let separator = if self.path.contains('?') { '&' } else { '?' };
        let epoch = utf8_percent_encode(&last.epoch, NON_ALPHANUMERIC);
        format!("{self}{separator}since={}&epoch={epoch}", last.id)
    }

    pub(super) fn authority(&self) -> String {
        if self.host.contains(':') {
            format!("[{}]:{}", self.host, self.port)
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }
}

impl fmt::Display for ServerAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.is_secure { "wss" } else { "ws" };
        write!(f, "{scheme}://{}{}", self.authority(), self.path)
    }
}

/// The last event received (`docs/protocol.md#replay`).
#[derive(Default)]
pub(super) struct LastPosition {
    last_event: Option<LastEvent>,
}

struct LastEvent {
    epoch: String,
    id: u64,
}

impl LastPosition {
    /// Advances the position by a frame. A welcome with another epoch starts over; any other event
    /// with an id moves it forward.
    pub(super) fn advance(&mut self, frame: &ServerFrame) {
        let latest_id = frame.data("lastEventId").and_then(Value::as_u64);
        match (frame.event_type(), &mut self.last_event) {
            ("connection" | "connected", last) => {
                let epoch = frame.data("epoch").and_then(Value::as_str);
                let is_new = |epoch: &str| last.as_ref().is_none_or(|last| last.epoch != epoch);
                if let (Some(epoch), Some(id)) = (epoch, latest_id)
                    && is_new(epoch)
                {
                    *last = Some(LastEvent {
                        epoch: epoch.to_owned(),
                        id,
                    });
                }
            }
            ("heartbeat", Some(last)) => last.id = last.id.max(latest_id.unwrap_or(0)),
            // After a gap, continue from the server's latest event.
            ("resync_required", Some(last)) => last.id = latest_id.unwrap_or(last.id),
            (_, Some(last)) => last.id = last.id.max(frame.id().unwrap_or(0)),
            (_, None) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{AddressError, LastPosition, ServerAddress, ServerFrame};

    #[test]
    fn every_form_gives_a_websocket_url() {
        for (text, expected) in [
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
            assert_eq!(text.parse::<ServerAddress>().unwrap().to_string(), expected);
        }
    }

    #[test]
    fn secrets_and_malformed_addresses_are_refused() {
        for (text, error) in [
            ("", AddressError::Malformed),
            ("wss://", AddressError::Malformed),
            ("ha.local:x", AddressError::Malformed),
            ("ha.local:99999", AddressError::Malformed),
            ("ftp://ha.local", AddressError::Scheme),
            ("wss://ha.local/ws?token=x", AddressError::Secret),
            ("wss://ha.local/ws?%74oken=x", AddressError::Secret),
            ("wss://ha.local/ws?a=b&sessionId=x", AddressError::Secret),
            ("wss://me:secret@ha.local/ws", AddressError::Secret),
        ] {
            assert_eq!(text.parse::<ServerAddress>(), Err(error), "{text:?}");
        }
    }

    #[test]
    fn url_resumes_after_the_last_event() {
        let address: ServerAddress = "ws://h:1/ws".parse().unwrap();
        let mut position = LastPosition::default();
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
            position.advance(&ServerFrame::parse(text));
            assert_eq!(address.url(&position), url, "after {text}");
        }
    }
}
