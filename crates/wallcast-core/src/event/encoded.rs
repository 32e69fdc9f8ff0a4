//! An event's bytes in each dialect, made at most once and then shared by every session.

use std::sync::OnceLock;

use tokio_tungstenite::tungstenite::Utf8Bytes;

use super::{Event, EventType, Namespace};
use crate::clock::Timestamp;

/// The places where an event's frames are kept once made.
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
            Some(slot) => slot
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
    let mut text = direct_json(&event.kind, &event.data, event.timestamp);
    if let Some(id) = event.id {
        text.pop();
        text.push_str(",\"id\":");
        text.push_str(&id.to_string());
        text.push('}');
    }
    text
}

/// A JSON WebSocket frame `{"type","data","timestamp"}` (contract 4.2); `data` is JSON text.
pub fn direct_json(kind: &EventType, data: &str, timestamp: Timestamp) -> String {
    format!(r#"{{"type":"{kind}","data":{data},"timestamp":"{timestamp}"}}"#)
}

fn sse(event: &Event) -> String {
    let text = direct_sse(&event.kind, &event.data);
    match &event.position {
        Some(position) => format!("id: {position}\n{text}"),
        None => text,
    }
}

/// A server-sent event (contract 4.3) without an id; `data` is JSON text.
pub fn direct_sse(kind: &EventType, data: &str) -> String {
    // In JSON a line's end is white space wherever it may stand; here it would end the field.
    let data = data.replace(['\n', '\r'], " ");
    format!("event: {kind}\ndata: {data}\n\n")
}

/// `42["type",data]` with the offset as the last argument where the event moves the position
/// (contract 4.1; Socket.IO protocol v5, EVENT).
fn socketio(event: &Event, namespace: Namespace) -> String {
    let mut text = String::with_capacity(event.data.len() + 96);
    text.push_str("42");
    if namespace != Namespace::Main {
        text.push_str(namespace.path());
        text.push(',');
    }
    text.push_str("[\"");
    text.push_str(event.kind.as_str());
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
            kind: EventType::AREA_UPDATED,
            data: r#"{"areaId":"a"}"#.into(),
            topics: vec![Topic::Admins],
            expires_at: None,
        }
    }

    #[test]
    fn a_durable_event_tells_its_id_in_each_dialect() {
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
    fn an_ephemeral_event_has_neither_id_nor_offset() {
        let event = Event::ephemeral(event(), Timestamp::from_unix_ms(0));
        assert!(!event.as_json().contains("\"id\""));
        assert_eq!(
            event.as_socketio(Namespace::Main).as_str(),
            r#"42["area_updated",{"areaId":"a"}]"#
        );
        assert!(event.as_sse().starts_with("event: area_updated\n"));
    }

    #[test]
    fn data_of_several_lines_is_one_line_of_a_stream() {
        assert_eq!(
            direct_sse(&EventType::PONG, "{\n\"a\":\r\n1}"),
            "event: pong\ndata: { \"a\":  1}\n\n"
        );
    }

    #[test]
    fn the_bytes_are_made_once() {
        let event = Event::ephemeral(event(), Timestamp::from_unix_ms(0));
        assert_eq!(event.as_json().as_ptr(), event.as_json().as_ptr());
        assert_eq!(
            event.as_socketio(Namespace::Main).as_ptr(),
            event.as_socketio(Namespace::Main).as_ptr()
        );
        assert_eq!(event.as_sse().as_ptr(), event.as_sse().as_ptr());
    }
}
