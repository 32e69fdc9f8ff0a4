//! The encoded bytes of an event. Each dialect encodes on first use and all sessions share the result.

use std::sync::OnceLock;

use tokio_tungstenite::tungstenite::Utf8Bytes;

use super::{Event, EventType, Namespace};
use crate::clock::Timestamp;

/// The cached frames of one event.
#[derive(Debug, Default)]
pub(super) struct Encoded {
    json: OnceLock<Utf8Bytes>,
    socketio: [OnceLock<Utf8Bytes>; Namespace::ALL.len()],
    sse: OnceLock<Utf8Bytes>,
}

impl Encoded {
    pub(super) fn json(&self, event: &Event) -> Utf8Bytes {
        self.json.get_or_init(|| json(event).into()).clone()
    }

    pub(super) fn socketio(&self, event: &Event, namespace: Namespace) -> Utf8Bytes {
        match self.socketio.get(namespace.index()) {
            Some(cached) => cached
                .get_or_init(|| socketio(event, namespace).into())
                .clone(),
            None => socketio(event, namespace).into(),
        }
    }

    pub(super) fn sse(&self, event: &Event) -> Utf8Bytes {
        self.sse.get_or_init(|| sse(event).into()).clone()
    }
}

fn json(event: &Event) -> String {
    let mut text = direct_json(&event.event_type, &event.data, event.timestamp);
    if let Some(id) = event.id {
        text.pop();
        text.push_str(",\"id\":");
        text.push_str(&id.to_string());
        text.push('}');
    }
    text
}

/// Encodes a JSON WebSocket frame `{"type","data","timestamp"}` for one session; `data` is JSON text.
pub fn direct_json(event_type: &EventType, data: &str, timestamp: Timestamp) -> String {
    format!(r#"{{"type":"{event_type}","data":{data},"timestamp":"{timestamp}"}}"#)
}

fn sse(event: &Event) -> String {
    let text = direct_sse(&event.event_type, &event.data);
    match &event.position {
        Some(position) => format!("id: {position}\n{text}"),
        None => text,
    }
}

/// Encodes a server-sent event without an id for one session; `data` is JSON text.
pub fn direct_sse(event_type: &EventType, data: &str) -> String {
    // In JSON a line break can only be white space; in an event stream it would end the `data` field.
    let data = data.replace(['\n', '\r'], " ");
    format!("event: {event_type}\ndata: {data}\n\n")
}

/// Encodes `42["type",data]`, with the position as last argument if the event has one
/// (Socket.IO protocol v5, EVENT; `docs/protocol.md#connection-state-recovery`).
fn socketio(event: &Event, namespace: Namespace) -> String {
    let mut text = String::with_capacity(event.data.len() + 96);
    text.push_str("42");
    if namespace != Namespace::Main {
        text.push_str(namespace.path());
        text.push(',');
    }
    text.push_str("[\"");
    text.push_str(event.event_type.as_str());
    text.push_str("\",");
    text.push_str(&event.data);
    if let Some(position) = &event.position {
        text.push_str(",\"");
        text.push_str(&position.to_string());
        text.push('"');
    }
    text.push(']');
    text
}

#[cfg(test)]
mod tests {
    use super::super::{Epoch, EventId, NewEvent, Position, Topic};
    use super::*;

    fn event() -> NewEvent {
        NewEvent {
            event_type: EventType::AREA_UPDATED,
            data: r#"{"areaId":"a"}"#.into(),
            topics: vec![Topic::Admins],
            expires_at: None,
        }
    }

    #[test]
    fn durable_event_has_id_in_each_dialect() {
        let position = Position {
            epoch: Epoch::from_stored("e1"),
            id: EventId::new(7),
        };
        let event = Event::durable(event(), position, Timestamp::from_unix_ms(0));
        assert_eq!(
            event.as_json().as_str(),
            r#"{"type":"area_updated","data":{"areaId":"a"},"timestamp":"1970-01-01T00:00:00.000Z","id":7}"#
        );
        assert_eq!(
            event.as_socketio(Namespace::Main).as_str(),
            r#"42["area_updated",{"areaId":"a"},"e1:7"]"#
        );
        assert_eq!(
            event.as_socketio(Namespace::Help).as_str(),
            r#"42/ws/help,["area_updated",{"areaId":"a"},"e1:7"]"#
        );
        assert_eq!(
            event.as_sse().as_str(),
            "id: e1:7\nevent: area_updated\ndata: {\"areaId\":\"a\"}\n\n"
        );
    }

    #[test]
    fn ephemeral_event_has_neither_id_nor_offset() {
        let event = Event::ephemeral(event(), Timestamp::from_unix_ms(0));
        assert!(!event.as_json().contains("\"id\""));
        assert_eq!(
            event.as_socketio(Namespace::Main).as_str(),
            r#"42["area_updated",{"areaId":"a"}]"#
        );
        assert!(event.as_sse().starts_with("event: area_updated\n"));
    }

    #[test]
    fn sse_multi_line_data_becomes_one_line() {
        assert_eq!(
            direct_sse(&EventType::PONG, "{\n\"a\":\r\n1}"),
            "event: pong\ndata: { \"a\":  1}\n\n"
        );
    }

    #[test]
    fn each_dialect_is_encoded_once() {
        let event = Event::ephemeral(event(), Timestamp::from_unix_ms(0));
        assert_eq!(event.as_json().as_ptr(), event.as_json().as_ptr());
        assert_eq!(
            event.as_socketio(Namespace::Main).as_ptr(),
            event.as_socketio(Namespace::Main).as_ptr()
        );
        assert_eq!(event.as_sse().as_ptr(), event.as_sse().as_ptr());
    }
}
