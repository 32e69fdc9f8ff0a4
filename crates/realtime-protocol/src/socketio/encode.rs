//! Writes Socket.IO packets as frames that are ready to send, Engine.IO's `4` included; encode once, send to many.

use bytes::Bytes;
use serde_json::value::RawValue;

use crate::Frame;

/// CONNECT: the client is in, under this session id; `pid` is what it may recover with later.
pub fn connect(namespace: &str, sid: &str, pid: Option<&str>) -> Frame {
    let mut text = head('0', None, namespace, None);
    text.push_str("{\"sid\":");
    push_string(&mut text, sid);
    if let Some(pid) = pid {
        text.push_str(",\"pid\":");
        push_string(&mut text, pid);
    }
    text.push('}');
    Frame::text(text)
}

/// CONNECT_ERROR: the client stays out of the namespace; it sees an `Error` of this message and data.
pub fn connect_error(namespace: &str, message: &str, data: Option<&RawValue>) -> Frame {
    let mut text = head('4', None, namespace, None);
    text.push_str("{\"message\":");
    push_string(&mut text, message);
    if let Some(data) = data {
        text.push_str(",\"data\":");
        text.push_str(data.get());
    }
    text.push('}');
    Frame::text(text)
}

/// DISCONNECT: the client is out of the namespace, and stock clients do not come back by themselves.
pub fn disconnect(namespace: &str) -> Frame {
    Frame::text(head('1', None, namespace, None))
}

/// EVENT: `name` and its arguments; with `ack` the client is asked to answer.
pub fn event<'a>(
    namespace: &str,
    ack: Option<u64>,
    name: &str,
    args: impl IntoIterator<Item = &'a RawValue>,
) -> Frame {
    let mut text = head('2', None, namespace, ack);
    push_array(&mut text, Some(name), args);
    Frame::text(text)
}

/// ACK: the answer to the client's event of this id.
pub fn ack<'a>(namespace: &str, id: u64, args: impl IntoIterator<Item = &'a RawValue>) -> Frame {
    let mut text = head('3', None, namespace, Some(id));
    push_array(&mut text, None, args);
    Frame::text(text)
}

/// BINARY_EVENT: as `event`; `args` holds a placeholder object for each attachment. The frames belong together, in order.
pub fn binary_event<'a>(
    namespace: &str,
    ack: Option<u64>,
    name: &str,
    args: impl IntoIterator<Item = &'a RawValue>,
    attachments: Vec<Bytes>,
) -> Vec<Frame> {
    let mut text = head('5', Some(attachments.len()), namespace, ack);
    push_array(&mut text, Some(name), args);
    with_attachments(text, attachments)
}

/// BINARY_ACK: as `ack`, with attachments as in `binary_event`.
pub fn binary_ack<'a>(
    namespace: &str,
    id: u64,
    args: impl IntoIterator<Item = &'a RawValue>,
    attachments: Vec<Bytes>,
) -> Vec<Frame> {
    let mut text = head('6', Some(attachments.len()), namespace, Some(id));
    push_array(&mut text, None, args);
    with_attachments(text, attachments)
}

fn head(kind: char, attachments: Option<usize>, namespace: &str, id: Option<u64>) -> String {
    let mut text = String::from('4');
    text.push(kind);
    if let Some(count) = attachments {
        text.push_str(&count.to_string());
        text.push('-');
    }
    if namespace != "/" {
        text.push_str(namespace);
        text.push(',');
    }
    if let Some(id) = id {
        text.push_str(&id.to_string());
    }
    text
}

fn push_array<'a>(
    text: &mut String,
    name: Option<&str>,
    args: impl IntoIterator<Item = &'a RawValue>,
) {
    text.push('[');
    let mut first = true;
    if let Some(name) = name {
        push_string(text, name);
        first = false;
    }
    for arg in args {
        if !std::mem::take(&mut first) {
            text.push(',');
        }
        text.push_str(arg.get());
    }
    text.push(']');
}

fn push_string(text: &mut String, value: &str) {
    text.push_str(&serde_json::Value::from(value).to_string());
}

fn with_attachments(text: String, attachments: Vec<Bytes>) -> Vec<Frame> {
    std::iter::once(Frame::text(text))
        .chain(attachments.into_iter().map(Frame::Binary))
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::value::RawValue;

    use super::*;

    fn raw(json: &str) -> Box<RawValue> {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn frames_as_the_protocol_shows_them() {
        let placeholder = raw(r#"{"_placeholder":true,"num":0}"#);
        let attachment = vec![Bytes::from_static(&[1])];
        for (frame, text) in [
            (connect("/", "s\"", None), r#"40{"sid":"s\""}"#),
            (
                connect("/admin", "s", Some("p")),
                r#"40/admin,{"sid":"s","pid":"p"}"#,
            ),
            (connect_error("/x", "no", None), r#"44/x,{"message":"no"}"#),
            (
                connect_error("/", "no", Some(&raw("{}"))),
                r#"44{"message":"no","data":{}}"#,
            ),
            (disconnect("/"), "41"),
            (disconnect("/admin"), "41/admin,"),
            (event("/", None, "foo", []), r#"42["foo"]"#),
            (
                event("/admin", Some(12), "foo", [&*raw("1"), &*raw("{}")]),
                r#"42/admin,12["foo",1,{}]"#,
            ),
            (ack("/", 13, []), "4313[]"),
            (
                ack("/admin", 13, [&*raw("\"bar\"")]),
                r#"43/admin,13["bar"]"#,
            ),
            (
                binary_event("/", None, "baz", [&*placeholder], attachment.clone()).remove(0),
                r#"451-["baz",{"_placeholder":true,"num":0}]"#,
            ),
            (
                binary_ack("/", 15, [&*placeholder], attachment.clone()).remove(0),
                r#"461-15[{"_placeholder":true,"num":0}]"#,
            ),
        ] {
            assert_eq!(frame, Frame::text(text));
        }
        let frames = binary_ack("/", 15, [&*placeholder], attachment.clone());
        assert_eq!(frames[1..], [Frame::Binary(attachment[0].clone())]);
    }
}
