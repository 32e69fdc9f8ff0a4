//! Messages of Home Assistant's WebSocket API. Parses only the envelope; knows no connection.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

/// One message. `result` and `event` stay unparsed until their receiver reads them.
#[derive(Debug, Deserialize)]
pub(super) struct HomeMessage<'a> {
    /// `result`, `event`, `pong`, `auth_required`, …
    #[serde(borrow, rename = "type")]
    pub(super) message_type: Cow<'a, str>,
    /// The id of the command that it answers.
    #[serde(default)]
    pub(super) id: Option<u64>,
    #[serde(default)]
    pub(super) success: Option<bool>,
    #[serde(borrow, default)]
    pub(super) result: Option<&'a RawValue>,
    #[serde(borrow, default)]
    pub(super) event: Option<&'a RawValue>,
    #[serde(default)]
    pub(super) error: Option<ResponseError>,
    /// Core's version, in `auth_required` and `auth_ok`.
    #[serde(default)]
    pub(super) ha_version: Option<String>,
    /// The reason, in `auth_invalid`.
    #[serde(default)]
    pub(super) message: Option<String>,
}

/// The error of a failed command.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct ResponseError {
    /// A code such as `not_found`; some versions send a number.
    #[serde(deserialize_with = "text_or_json")]
    pub(super) code: String,
    #[serde(deserialize_with = "text_or_json")]
    pub(super) message: String,
}

fn text_or_json<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    Ok(match serde_json::Value::deserialize(deserializer)? {
        serde_json::Value::String(text) => text,
        other => other.to_string(),
    })
}

/// Makes text of a peer safe to log: one line, no control characters, at most `MAX_LINE_CHARS`
/// characters.
pub(super) fn single_line(text: &str) -> String {
    let clean = |c: char| if c.is_control() { ' ' } else { c };
    text.chars().map(clean).take(MAX_LINE_CHARS).collect()
}

const MAX_LINE_CHARS: usize = 500;

/// Maximum messages per frame: several times the number that Core queues for a client.
const MAX_MESSAGES: usize = 4 * 4096;

/// Parses one frame: an object or, with `coalesce_messages`, an array of objects.
///
/// # Errors
/// Fails if anything in the frame is not a message, or if it holds more than `MAX_MESSAGES`.
pub(super) fn parse_frame(frame: &str) -> Result<Vec<HomeMessage<'_>>, serde_json::Error> {
    if frame.trim_start().starts_with('[') {
        serde_json::from_str(frame).map(|MessageList(messages)| messages)
    } else {
        serde_json::from_str(frame).map(|message| vec![message])
    }
}

/// Stops at [`MAX_MESSAGES`]: parsed messages take many times the frame's size.
struct MessageList<'a>(Vec<HomeMessage<'a>>);

impl<'de> Deserialize<'de> for MessageList<'de> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(MessageListVisitor)
    }
}

struct MessageListVisitor;

impl<'de> serde::de::Visitor<'de> for MessageListVisitor {
    type Value = MessageList<'de>;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "at most {MAX_MESSAGES} messages")
    }

    fn visit_seq<A: serde::de::SeqAccess<'de>>(
        self,
        mut list: A,
    ) -> Result<MessageList<'de>, A::Error> {
        let mut messages = Vec::new();
        while let Some(message) = list.next_element()? {
            if messages.len() >= MAX_MESSAGES {
                return Err(serde::de::Error::invalid_length(messages.len() + 1, &self));
            }
            messages.push(message);
        }
        Ok(MessageList(messages))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frame_holds_one_message_or_a_list() {
        let one =
            parse_frame(r#"{"id":3,"type":"result","success":true,"result":[1, 2],"new":{}}"#);
        let one = one.unwrap();
        assert_eq!((one[0].id, &*one[0].message_type), (Some(3), "result"));
        assert_eq!(one[0].result.unwrap().get(), "[1, 2]");
        let many = r#" [{"id":1,"type":"pong"},{"id":2,"type":"event","event":{"a":{}}}]"#;
        let many = parse_frame(many).unwrap();
        assert_eq!(many.len(), 2);
        assert_eq!(many[1].event.unwrap().get(), r#"{"a":{}}"#);
        assert!(parse_frame("[]").unwrap().is_empty());
    }

    #[test]
    fn malformed_frames_are_refused() {
        for bad in [
            "",
            "null",
            "7",
            "{",
            r#"{"id":1}"#,
            "[1]",
            r#"{"type":"a","id":-1}"#,
        ] {
            assert!(parse_frame(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn frame_with_too_many_messages_is_refused() {
        let frame = |count: usize| format!("[{}]", vec![r#"{"type":""}"#; count].join(","));
        assert_eq!(
            parse_frame(&frame(MAX_MESSAGES)).unwrap().len(),
            MAX_MESSAGES
        );
        assert!(parse_frame(&frame(MAX_MESSAGES + 1)).is_err());
    }

    #[test]
    fn single_line_removes_controls_and_truncates() {
        assert_eq!(single_line("no\nadmin\u{1b}[1m"), "no admin [1m");
        assert_eq!(single_line(&"ä".repeat(9_000)), "ä".repeat(MAX_LINE_CHARS));
    }

    #[test]
    fn error_code_may_be_a_number() {
        let text = r#"{"id":1,"type":"result","success":false,"error":{"code":3,"message":"no"}}"#;
        let messages = parse_frame(text).unwrap();
        let error = messages[0].error.as_ref().unwrap();
        assert_eq!((error.code.as_str(), error.message.as_str()), ("3", "no"));
        // An error of an unexpected form must not end the connection.
        let text = r#"{"id":1,"type":"result","success":false,"error":{"message":null}}"#;
        assert!(parse_frame(text).unwrap()[0].error.is_some());
    }
}
