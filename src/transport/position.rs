//! The place in history from which a handshake asks to go on; whether it can be is not decided here.

use hyper::HeaderMap;

use crate::event::EventId;

/// What somebody says it has heard last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct PositionAsked {
    /// The history that the id belongs to; the present one if it does not say.
    pub(super) epoch: Option<String>,
    /// The last event that was heard.
    pub(super) id: EventId,
}

impl PositionAsked {
    /// `Last-Event-ID`, which a reconnecting `EventSource` brings beside the URL that it began with,
    /// else `?since=&epoch=` (contract 4.2 and 4.3). What is none is passed over.
    pub(super) fn of(headers: &HeaderMap, query: Option<&str>) -> Option<Self> {
        let header = headers.get("last-event-id");
        header
            .and_then(|value| Self::parse(value.to_str().ok()?))
            .or_else(|| Self::of_query(query?))
    }

    fn of_query(query: &str) -> Option<Self> {
        let value = |name: &str| {
            form_urlencoded::parse(query.as_bytes())
                .find(|(key, _)| key == name)
                .map(|(_, value)| value.into_owned())
        };
        Some(Self {
            epoch: value("epoch").filter(|epoch| !epoch.is_empty()),
            id: parse_id(&value("since")?)?,
        })
    }

    /// `EPOCH:ID`, or a bare id.
    fn parse(text: &str) -> Option<Self> {
        let (epoch, id) = match text.trim().split_once(':') {
            Some((epoch, id)) => (Some(epoch.to_owned()), id),
            None => (None, text.trim()),
        };
        Some(Self {
            epoch,
            id: parse_id(id)?,
        })
    }
}

fn parse_id(text: &str) -> Option<EventId> {
    let id: i64 = text.parse().ok()?;
    (id >= 0).then(|| EventId::new(id))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(header: Option<&'static str>, query: &str) -> Option<(Option<String>, i64)> {
        let mut headers = HeaderMap::new();
        if let Some(value) = header {
            headers.insert("last-event-id", value.parse().unwrap());
        }
        PositionAsked::of(&headers, Some(query)).map(|asked| (asked.epoch, asked.id.get()))
    }

    #[test]
    fn the_header_counts_more_than_the_query() {
        let epoch = || Some("e1".to_owned());
        assert_eq!(asked(Some("e1:7"), "since=3"), Some((epoch(), 7)));
        assert_eq!(asked(Some("7"), ""), Some((None, 7)));
        assert_eq!(asked(None, "since=3&epoch=e1"), Some((epoch(), 3)));
        assert_eq!(asked(None, "since=3"), Some((None, 3)));
    }

    #[test]
    fn what_is_no_position_is_none() {
        for header in ["", "x", "e1:", "e1:x", "-1", "e1:-1", "9999999999999999999"] {
            assert_eq!(asked(Some(header), ""), None, "{header}");
            assert_eq!(asked(Some(header), "since=3"), Some((None, 3)), "{header}");
        }
        assert_eq!(asked(None, ""), None);
        assert_eq!(asked(None, "epoch=e1"), None);
    }
}
