//! What Home Assistant sends, as far as every message has it. Knows no connection.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

/// One message of Home Assistant's WebSocket API; what is large stays text until its owner reads it.
#[derive(Debug, Deserialize)]
pub(super) struct Message<'a> {
    /// What it is: `result`, `event`, `pong`, `auth_required`, …
    #[serde(borrow, rename = "type")]
    pub(super) kind: Cow<'a, str>,
    /// Which command it belongs to.
    #[serde(default)]
    pub(super) id: Option<u64>,
    #[serde(default)]
    pub(super) success: Option<bool>,
    #[serde(borrow, default)]
    pub(super) result: Option<&'a RawValue>,
    #[serde(borrow, default)]
    pub(super) event: Option<&'a RawValue>,
    #[serde(default)]
    pub(super) error: Option<Refusal>,
    /// What `auth_required` and `auth_ok` say of Core.
    #[serde(default)]
    pub(super) ha_version: Option<String>,
    /// Why `auth_invalid`.
    #[serde(default)]
    pub(super) message: Option<String>,
}

/// Why a command was refused.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Refusal {
    /// A word such as `not_found`; some versions give a number.
    #[serde(deserialize_with = "word")]
    pub(super) code: String,
    #[serde(deserialize_with = "word")]
    pub(super) message: String,
}

fn word<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    Ok(match serde_json::Value::deserialize(deserializer)? {
        serde_json::Value::String(word) => word,
        other => other.to_string(),
    })
}

/// Somebody else's words as one line that is fit for a log: without control characters, not at length.
pub(super) fn line(text: &str) -> String {
    let clean = |c: char| if c.is_control() { ' ' } else { c };
    text.chars().map(clean).take(MAX_LINE).collect()
}

/// The longest of them, in characters.
const MAX_LINE: usize = 500;

/// Messages of one frame at most: several times as many as Core lets wait for a client.
const MAX_MESSAGES: usize = 4 * 4096;

/// The messages of one frame: an object, or with `coalesce_messages` an array of them.
///
/// # Errors
/// What is no such message, and more of them than Core ever has to tell at once.
pub(super) fn messages(frame: &str) -> Result<Vec<Message<'_>>, serde_json::Error> {
    if frame.trim_start().starts_with('[') {
        serde_json::from_str(frame).map(|Many(messages)| messages)
    } else {
        serde_json::from_str(frame).map(|message| vec![message])
    }
}

/// As a list that ends before it has grown to many times the frame's size.
struct Many<'a>(Vec<Message<'a>>);

impl<'de> Deserialize<'de> for Many<'de> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(ManyVisitor)
    }
}

struct ManyVisitor;

impl<'de> serde::de::Visitor<'de> for ManyVisitor {
    type Value = Many<'de>;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "at most {MAX_MESSAGES} messages")
    }

    fn visit_seq<A: serde::de::SeqAccess<'de>>(self, mut list: A) -> Result<Many<'de>, A::Error> {
        let mut messages = Vec::new();
        while let Some(message) = list.next_element()? {
            if messages.len() >= MAX_MESSAGES {
                return Err(serde::de::Error::invalid_length(messages.len() + 1, &self));
            }
            messages.push(message);
        }
        Ok(Many(messages))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_holds_one_message_or_many() {
        let one = messages(r#"{"id":3,"type":"result","success":true,"result":[1, 2],"new":{}}"#);
        let one = one.unwrap();
        assert_eq!((one[0].id, &*one[0].kind), (Some(3), "result"));
        assert_eq!(one[0].result.unwrap().get(), "[1, 2]");
        let many = r#" [{"id":1,"type":"pong"},{"id":2,"type":"event","event":{"a":{}}}]"#;
        let many = messages(many).unwrap();
        assert_eq!(many.len(), 2);
        assert_eq!(many[1].event.unwrap().get(), r#"{"a":{}}"#);
        assert!(messages("[]").unwrap().is_empty());
    }

    #[test]
    fn what_is_no_message_is_refused() {
        for bad in [
            "",
            "null",
            "7",
            "{",
            r#"{"id":1}"#,
            "[1]",
            r#"{"type":"a","id":-1}"#,
        ] {
            assert!(messages(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_frame_of_countless_messages_is_not_read_to_its_end() {
        let frame = |count: usize| format!("[{}]", vec![r#"{"type":""}"#; count].join(","));
        assert_eq!(messages(&frame(MAX_MESSAGES)).unwrap().len(), MAX_MESSAGES);
        assert!(messages(&frame(MAX_MESSAGES + 1)).is_err());
    }

    #[test]
    fn what_others_say_is_one_line_and_bounded() {
        assert_eq!(line("no\nadmin\u{1b}[1m"), "no admin [1m");
        assert_eq!(line(&"ä".repeat(9_000)), "ä".repeat(MAX_LINE));
    }

    #[test]
    fn a_refusal_has_a_word_and_a_sentence() {
        let text = r#"{"id":1,"type":"result","success":false,"error":{"code":3,"message":"no"}}"#;
        let messages = messages(text).unwrap();
        let refusal = messages[0].error.as_ref().unwrap();
        assert_eq!(
            (refusal.code.as_str(), refusal.message.as_str()),
            ("3", "no")
        );
        // One that says it otherwise costs nobody the connection.
        let text = r#"{"id":1,"type":"result","success":false,"error":{"message":null}}"#;
        assert!(super::messages(text).unwrap()[0].error.is_some());
    }
}
