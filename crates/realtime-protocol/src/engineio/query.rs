//! Parses the query string of an Engine.IO request. Does not look sessions up.

use std::borrow::Cow;

use super::response::RequestError;

/// The supported protocol version.
const VERSION: &str = "4";

/// How packets are exchanged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    /// HTTP long-polling: the client sends packets by POST and receives them by GET.
    Polling,
    /// A WebSocket.
    WebSocket,
}

/// The query of a request: `transport`, and either `EIO` to open a session or `sid` to continue one.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Query {
    pub(super) transport: Transport,
    /// The session id as the client sent it, not validated.
    pub(super) sid: Option<String>,
    /// Whether `EIO` is the supported version; `None` if it is absent.
    is_supported_version: Option<bool>,
}

impl Query {
    pub(super) fn parse(query: &str) -> Result<Self, RequestError> {
        let (mut transport, mut sid, mut version) = (None, None, None);
        for (key, value) in form_urlencoded::parse(query.as_bytes()) {
            match key.as_ref() {
                "transport" => set_once(&mut transport, value)?,
                "sid" => set_once(&mut sid, value)?,
                "EIO" => set_once(&mut version, value)?,
                _ => {}
            }
        }
        let transport = match transport.as_deref() {
            Some("polling") => Transport::Polling,
            Some("websocket") => Transport::WebSocket,
            _ => return Err(RequestError::UnknownTransport),
        };
        let is_supported_version = version.map(|version| version == VERSION);
        Ok(Self {
            transport,
            sid: sid.map(Cow::into_owned),
            is_supported_version,
        })
    }

    /// A request that opens a session must give the version. Later requests may omit it.
    pub(super) fn check_version(&self) -> Result<(), RequestError> {
        match self.is_supported_version.unwrap_or(self.sid.is_some()) {
            true => Ok(()),
            false => Err(RequestError::UnsupportedVersion),
        }
    }
}

/// Rejects repeated parameters: a proxy in front might use the other value.
fn set_once<'a>(
    parameter: &mut Option<Cow<'a, str>>,
    value: Cow<'a, str>,
) -> Result<(), RequestError> {
    match parameter.replace(value) {
        None => Ok(()),
        Some(_) => Err(RequestError::BadRequest),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn query_with_extra_parameters_parses() {
        let query = Query::parse("EIO=4&transport=polling&t=abc&sid=x%20y&b64=1").unwrap();
        assert_eq!(query.transport, Transport::Polling);
        assert_eq!(query.sid.as_deref(), Some("x y"));
        assert_eq!(query.check_version(), Ok(()));
    }

    #[test]
    fn invalid_query_is_rejected_like_reference_server() {
        assert_eq!(Query::parse("EIO=4"), Err(RequestError::UnknownTransport));
        assert_eq!(
            Query::parse("EIO=4&transport=abc"),
            Err(RequestError::UnknownTransport)
        );
        let twice = "transport=polling&sid=a&sid=b";
        assert_eq!(Query::parse(twice), Err(RequestError::BadRequest));
        for query in [
            "transport=polling",
            "EIO=3&transport=polling",
            "EIO=abc&transport=polling&sid=a",
        ] {
            let query = Query::parse(query).unwrap();
            assert_eq!(query.check_version(), Err(RequestError::UnsupportedVersion));
        }
    }
}
