//! Encodes Socket.IO packets as frames that are ready to send, including Engine.IO's leading `4`. A frame can be
//! sent to any number of clients.
//!
//! The namespace is not escaped: it must start with `/` and contain no comma. Strings are escaped as JSON.

use bytes::Bytes;
use serde_json::value::RawValue;

use crate::Frame;

/// CONNECT: the client has joined `namespace` with the session id `sid`. `pid` is the private id for connection state
/// recovery, if the server offers that.
pub fn connect(namespace: &str, sid: &str, pid: Option<&str>) -> Frame {
    let mut text = packet_head('0', None, namespace, None);
    text.push_str("{\"sid\":");
    push_string(&mut text, sid);
    if let Some(pid) = pid {
        text.push_str(",\"pid\":");
        push_string(&mut text, pid);
    }
    text.push('}');
    Frame::text(text)
}

/// CONNECT_ERROR: the client may not join the namespace. Its `connect_error` handler gets an `Error` with this message
/// and data.
pub fn connect_error(namespace: &str, message: &str, data: Option<&RawValue>) -> Frame {
    let mut text = packet_head('4', None, namespace, None);
    text.push_str("{\"message\":");
    push_string(&mut text, message);
    if let Some(data) = data {
        text.push_str(",\"data\":");
        text.push_str(data.get());
    }
    text.push('}');
    Frame::text(text)
}

/// DISCONNECT: the server removed the client from the namespace. socket.io-client does not reconnect by itself after
/// this packet.
pub fn disconnect(namespace: &str) -> Frame {
    Frame::text(packet_head('1', None, namespace, None))
}

/// EVENT: the event `name` with its arguments. With `ack`, the client is asked to acknowledge it under this id.
pub fn event<'a>(
    namespace: &str,
    ack: Option<u64>,
    name: &str,
    args: impl IntoIterator<Item = &'a RawValue>,
) -> Frame {
    let mut text = packet_head('2', None, namespace, ack);
    push_array(&mut text, Some(name), args);
    Frame::text(text)
}

/// ACK: acknowledges the client's event with the acknowledgement id `id`.
pub fn ack<'a>(namespace: &str, id: u64, args: impl IntoIterator<Item = &'a RawValue>) -> Frame {
    let mut text = packet_head('3', None, namespace, Some(id));
    push_array(&mut text, None, args);
    Frame::text(text)
}

/// BINARY_EVENT: like [`event`], with binary attachments. `args` must contain the placeholder
/// `{"_placeholder":true,"num":N}` for each attachment. Send the frames in order with no other frame in between.
pub fn binary_event<'a>(
    namespace: &str,
    ack: Option<u64>,
    name: &str,
    args: impl IntoIterator<Item = &'a RawValue>,
    attachments: Vec<Bytes>,
) -> Vec<Frame> {
    let mut text = packet_head('5', Some(attachments.len()), namespace, ack);
    push_array(&mut text, Some(name), args);
    with_attachments(text, attachments)
}

/// BINARY_ACK: like [`ack`], with attachments as in [`binary_event`].
pub fn binary_ack<'a>(
    namespace: &str,
    id: u64,
    args: impl IntoIterator<Item = &'a RawValue>,
    attachments: Vec<Bytes>,
) -> Vec<Frame> {
    let mut text = packet_head('6', Some(attachments.len()), namespace, Some(id));
    push_array(&mut text, None, args);
    with_attachments(text, attachments)
}

fn packet_head(
    packet_type: char,
    attachments: Option<usize>,
    namespace: &str,
    id: Option<u64>,
) -> String {
    let mut text = String::from('4');
    text.push(packet_type);
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
    fn packets_encode_as_in_the_protocol_document() {
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
