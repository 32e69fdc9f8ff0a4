//! What an Engine.IO request asks for, read from its query; knows no sessions.

use std::borrow::Cow;

use super::refusal::Refusal;

/// The only protocol version spoken.
const VERSION: &str = "4";

/// How packets travel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    /// HTTP long-polling: packets come by POST and leave by GET.
    Polling,
    /// One WebSocket.
    WebSocket,
}

/// The query of a request: `transport`, and either `EIO` to open a session or `sid` to go on with one.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Query {
    pub(super) transport: Transport,
    /// Anything the client wrote; only the table knows whether it is a session's.
    pub(super) sid: Option<String>,
    version: Option<bool>,
}

impl Query {
    pub(super) fn parse(query: &str) -> Result<Self, Refusal> {
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
            _ => return Err(Refusal::UnknownTransport),
        };
        let version = version.map(|version| version == VERSION);
        Ok(Self {
            transport,
            sid: sid.map(Cow::into_owned),
            version,
        })
    }

    /// Opening a session must name the version; later requests may leave it out, but not contradict it.
    pub(super) fn check_version(&self) -> Result<(), Refusal> {
        match self.version.unwrap_or(self.sid.is_some()) {
            true => Ok(()),
            false => Err(Refusal::UnsupportedVersion),
        }
    }
}

/// A parameter that is given twice could mean one thing here and another to a proxy.
fn set_once<'a>(slot: &mut Option<Cow<'a, str>>, value: Cow<'a, str>) -> Result<(), Refusal> {
    match slot.replace(value) {
        None => Ok(()),
        Some(_) => Err(Refusal::BadRequest),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_matters() {
        let query = Query::parse("EIO=4&transport=polling&t=abc&sid=x%20y&b64=1").unwrap();
        assert_eq!(query.transport, Transport::Polling);
        assert_eq!(query.sid.as_deref(), Some("x y"));
        assert_eq!(query.check_version(), Ok(()));
    }

    #[test]
    fn refuses_as_the_reference_server_does() {
        assert_eq!(Query::parse("EIO=4"), Err(Refusal::UnknownTransport));
        assert_eq!(
            Query::parse("EIO=4&transport=abc"),
            Err(Refusal::UnknownTransport)
        );
        let twice = "transport=polling&sid=a&sid=b";
        assert_eq!(Query::parse(twice), Err(Refusal::BadRequest));
        for query in [
            "transport=polling",
            "EIO=3&transport=polling",
            "EIO=abc&transport=polling&sid=a",
        ] {
            let query = Query::parse(query).unwrap();
            assert_eq!(query.check_version(), Err(Refusal::UnsupportedVersion));
        }
    }
}
