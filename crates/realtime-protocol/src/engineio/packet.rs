//! Engine.IO packets and polling payloads (protocol 4, "Packet encoding"): bytes in, packets out; no IO.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;

use crate::{Frame, Utf8Bytes};

/// Separates the packets of a polling payload.
const SEPARATOR: u8 = 0x1e;

pub(super) const PING: Frame = Frame::Text(Utf8Bytes::from_static("2"));
pub(super) const PROBE_ANSWER: Frame = Frame::Text(Utf8Bytes::from_static("3probe"));
pub(super) const CLOSE: &str = "1";
pub(super) const NOOP: &str = "6";

/// A packet as a client may send it once its session is open.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Packet {
    Close,
    /// The probe of an upgrade; a client of protocol 4 sends no other ping.
    Probe,
    Pong,
    /// A whole message packet: text with its leading '4', or binary.
    Message(Frame),
    Upgrade,
    Noop,
}

/// Why bytes are no packets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum PacketError {
    #[error("a packet starts with its type, one of 1 to 6, or `b` for binary in a payload")]
    Type,
    #[error("a payload is UTF-8 text")]
    Utf8,
    #[error("binary in a payload is base64 with padding")]
    Base64,
    #[error("a payload holds at most {0} packets; send the rest in the next one")]
    TooMany(usize),
}

impl Packet {
    /// Reads one WebSocket frame, which is one packet.
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

/// Whether an outgoing frame is the app's, not Engine.IO's own.
pub(super) fn is_message(frame: &Frame) -> bool {
    match frame {
        Frame::Text(text) => text.starts_with('4'),
        Frame::Binary(_) => true,
    }
}

/// Reads the body of a POST; its packets share the body's bytes.
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

/// Writes the body of a GET's answer, with a last packet of Engine.IO's own where there is one.
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
    fn packets_of_a_client() {
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
    fn payloads_mix_text_and_binary() {
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
    fn broken_payloads_are_refused() {
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
        fn what_is_written_is_read_again(frames in frames()) {
            let body = Bytes::from(write_payload(frames.iter().cloned(), None));
            let packets = parse_payload(&body, 8).unwrap();
            prop_assert_eq!(packets, frames.into_iter().map(Packet::Message).collect::<Vec<_>>());
        }

        #[test]
        fn garbage_never_panics(body: Vec<u8>) {
            let _ = parse_payload(&Bytes::from(body), 8);
        }
    }
}
