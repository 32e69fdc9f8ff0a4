//! Engine.IO packets and polling payloads (protocol version 4, "Packet encoding"). No I/O.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;

use crate::{Frame, Utf8Bytes};

/// Separates the packets of a polling payload.
const SEPARATOR: u8 = 0x1e;

pub(super) const PING: Frame = Frame::Text(Utf8Bytes::from_static("2"));
pub(super) const PROBE_PONG: Frame = Frame::Text(Utf8Bytes::from_static("3probe"));
pub(super) const CLOSE: &str = "1";
pub(super) const NOOP: &str = "6";

/// A packet that a client may send in an open session.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Packet {
    Close,
    /// The ping packet `2probe` of an upgrade. Since version 4, clients send no other pings.
    Probe,
    Pong,
    /// A whole message packet: text with its leading `4`, or binary.
    Message(Frame),
    Upgrade,
    Noop,
}

/// Why bytes are not a valid packet or payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum PacketError {
    #[error("a packet must start with its type, 1 to 6, or with `b` if it is binary in a payload")]
    Type,
    #[error("a payload must be UTF-8")]
    Utf8,
    #[error("binary in a payload must be base64 with padding")]
    Base64,
    #[error("a payload must hold at most {0} packets")]
    TooMany(usize),
}

impl Packet {
    /// Parses a WebSocket message, or a text packet of a payload.
    pub(super) fn parse(frame: Frame) -> Result<Self, PacketError> {
        let Frame::Text(text) = &frame else {
            return Ok(Self::Message(frame));
        };
        match text.as_bytes() {
            [b'4', ..] => Ok(Self::Message(frame)),
            b"1" => Ok(Self::Close),
            b"2probe" => Ok(Self::Probe),
            [b'3', ..] => Ok(Self::Pong),
            b"5" => Ok(Self::Upgrade),
            [b'6', ..] => Ok(Self::Noop),
            _ => Err(PacketError::Type),
        }
    }
}

/// Whether an outgoing frame is a message packet, as opposed to a ping, noop or close packet.
pub(super) fn is_message(frame: &Frame) -> bool {
    match frame {
        Frame::Text(text) => text.starts_with('4'),
        Frame::Binary(_) => true,
    }
}

/// Parses the body of a POST. Text packets share the body's memory.
pub(super) fn parse_payload(body: &Bytes, max_packets: usize) -> Result<Vec<Packet>, PacketError> {
    let mut packets = Vec::new();
    for packet in body.split(|&byte| byte == SEPARATOR) {
        if packets.len() == max_packets {
            return Err(PacketError::TooMany(max_packets));
        }
        packets.push(match packet.strip_prefix(b"b") {
            Some(base64) => {
                let bytes = STANDARD.decode(base64).map_err(|_| PacketError::Base64)?;
                Packet::Message(Frame::Binary(bytes.into()))
            }
            None => {
                let text =
                    Utf8Bytes::try_from(body.slice_ref(packet)).map_err(|_| PacketError::Utf8)?;
                Packet::parse(Frame::Text(text))?
            }
        });
    }
    Ok(packets)
}

/// Encodes the response body of a poll: `frames`, then the packet `last`.
pub(super) fn write_payload(frames: impl Iterator<Item = Frame>, last: Option<&str>) -> String {
    let mut payload = String::new();
    let separate = |payload: &mut String| {
        if !payload.is_empty() {
            payload.push(char::from(SEPARATOR));
        }
    };
    for frame in frames {
        separate(&mut payload);
        match frame {
            Frame::Text(text) => payload.push_str(&text),
            Frame::Binary(bytes) => {
                payload.push('b');
                STANDARD.encode_string(bytes, &mut payload);
            }
        }
    }
    if let Some(last) = last {
        separate(&mut payload);
        payload.push_str(last);
    }
    payload
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn text(text: &str) -> Frame {
        Frame::text(text)
    }

    #[test]
    fn client_packets_parse() {
        assert_eq!(Packet::parse(text("4")), Ok(Packet::Message(text("4"))));
        assert_eq!(Packet::parse(text("1")), Ok(Packet::Close));
        assert_eq!(Packet::parse(text("2probe")), Ok(Packet::Probe));
        assert_eq!(Packet::parse(text("3")), Ok(Packet::Pong));
        assert_eq!(Packet::parse(text("5")), Ok(Packet::Upgrade));
        for wrong in ["", "2", "0{}", "7", "abc", "€", "bAQ=="] {
            assert_eq!(
                Packet::parse(text(wrong)),
                Err(PacketError::Type),
                "{wrong}"
            );
        }
    }

    #[test]
    fn payload_with_text_and_binary_round_trips() {
        let body = Bytes::from_static(b"4h\xc3\xa9llo\x1ebAQIDBA==\x1e3");
        let packets = parse_payload(&body, 3).unwrap();
        let binary = Frame::Binary(Bytes::from_static(&[1, 2, 3, 4]));
        assert_eq!(
            packets,
            [
                Packet::Message(text("4héllo")),
                Packet::Message(binary.clone()),
                Packet::Pong
            ]
        );
        assert_eq!(parse_payload(&body, 2), Err(PacketError::TooMany(2)));
        let written = write_payload([text("4héllo"), binary].into_iter(), Some(CLOSE));
        assert_eq!(written, "4héllo\u{1e}bAQIDBA==\u{1e}1");
    }

    #[test]
    fn malformed_payload_is_rejected() {
        for (body, error) in [
            (&b""[..], PacketError::Type),
            (b"4a\x1e", PacketError::Type),
            (b"4\xff", PacketError::Utf8),
            (b"4\xe2\x82\x1e4\xac", PacketError::Utf8),
            (b"bA", PacketError::Base64),
        ] {
            assert_eq!(parse_payload(&Bytes::from_static(body), 9), Err(error));
        }
    }

    fn frames() -> impl Strategy<Value = Vec<Frame>> {
        let text = "[^\u{1e}]*".prop_map(|text| Frame::text(format!("4{text}")));
        let binary = any::<Vec<u8>>().prop_map(|bytes| Frame::Binary(bytes.into()));
        prop::collection::vec(prop_oneof![text, binary], 1..8)
    }

    proptest! {
        #[test]
        fn payload_round_trips(frames in frames()) {
            let body = Bytes::from(write_payload(frames.iter().cloned(), None));
            let packets = parse_payload(&body, 8).unwrap();
            prop_assert_eq!(packets, frames.into_iter().map(Packet::Message).collect::<Vec<_>>());
        }

        #[test]
        fn random_payload_never_panics(body: Vec<u8>) {
            let _ = parse_payload(&Bytes::from(body), 8);
        }
    }
}
