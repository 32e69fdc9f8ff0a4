//! Reads a client's Socket.IO packets (protocol 5, "Packet encoding") and gathers their attachments; whatever comes in, it is bounded and never panics.

use bytes::Bytes;

use super::{Args, Kind, Packet};
use crate::protocol::Frame;

/// The names that mean something to clients themselves and so may not be emitted.
const RESERVED: [&str; 6] = [
    "connect",
    "connect_error",
    "disconnect",
    "disconnecting",
    "newListener",
    "removeListener",
];

/// What a packet may bring along.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AttachmentLimits {
    /// The most attachments of one packet; 0 refuses them all.
    pub count: usize,
    /// The most bytes of one packet's attachments together.
    pub bytes: usize,
}

/// Why a frame is no packet. The connection is to be closed, since both sides no longer agree on what was said.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// Not an Engine.IO message.
    #[error("a Socket.IO packet comes in an Engine.IO message, which starts with 4")]
    NotAMessage,
    /// A type that does not exist, or that only servers send.
    #[error("the packet type must be 0 to 3, 5 or 6")]
    Type,
    /// The number of attachments is missing or unreadable.
    #[error("a binary packet names the number of its attachments, as in `51-`")]
    AttachmentCount,
    /// More attachments, or more bytes in them, than allowed.
    #[error("the packet's attachments are over the limit")]
    AttachmentLimit,
    /// Text came where an attachment was due.
    #[error("the attachments of a packet follow it at once")]
    AttachmentMissing,
    /// A binary frame came without a packet that announced it.
    #[error("a binary frame must belong to a packet before it")]
    AttachmentUnexpected,
    /// The id is no number, too large, or missing from an answer.
    #[error("an acknowledgement id is a number below 2^64")]
    AckId,
    /// The payload is not the JSON that this type needs.
    #[error("the payload does not fit the packet type")]
    Payload,
    /// An event's name is missing or reserved.
    #[error("an event starts with its name, which must not be a reserved one")]
    Name,
}

/// Turns one connection's frames into packets.
#[derive(Debug)]
pub struct Decoder {
    limits: AttachmentLimits,
    partial: Option<Partial>,
}

/// A packet that waits for attachments.
#[derive(Debug)]
struct Partial {
    packet: Packet,
    missing: usize,
    bytes_left: usize,
}

impl Decoder {
    /// A decoder for a new connection.
    pub fn new(limits: AttachmentLimits) -> Self {
        Self {
            limits,
            partial: None,
        }
    }

    /// Reads the next frame; none while a packet still waits for attachments.
    pub fn decode(&mut self, frame: Frame) -> Result<Option<Packet>, DecodeError> {
        match (frame, self.partial.take()) {
            (Frame::Text(text), None) => self.begin(&text),
            (Frame::Text(_), Some(_)) => Err(DecodeError::AttachmentMissing),
            (Frame::Binary(bytes), Some(partial)) => self.attach(partial, bytes),
            (Frame::Binary(_), None) => Err(DecodeError::AttachmentUnexpected),
        }
    }

    fn begin(&mut self, text: &str) -> Result<Option<Packet>, DecodeError> {
        let (packet, missing) = parse(text)?;
        if missing > self.limits.count {
            return Err(DecodeError::AttachmentLimit);
        }
        if missing == 0 {
            return Ok(Some(packet));
        }
        self.partial = Some(Partial {
            packet,
            missing,
            bytes_left: self.limits.bytes,
        });
        Ok(None)
    }

    fn attach(
        &mut self,
        mut partial: Partial,
        bytes: Bytes,
    ) -> Result<Option<Packet>, DecodeError> {
        partial.bytes_left = partial
            .bytes_left
            .checked_sub(bytes.len())
            .ok_or(DecodeError::AttachmentLimit)?;
        if let Kind::Event { attachments, .. } | Kind::Ack { attachments, .. } =
            &mut partial.packet.kind
        {
            attachments.push(bytes);
        }
        partial.missing -= 1;
        if partial.missing == 0 {
            return Ok(Some(partial.packet));
        }
        self.partial = Some(partial);
        Ok(None)
    }
}

/// Reads a packet's text: the packet, and how many attachments will follow.
fn parse(text: &str) -> Result<(Packet, usize), DecodeError> {
    let rest = text.strip_prefix('4').ok_or(DecodeError::NotAMessage)?;
    let mut characters = rest.chars();
    let kind = characters
        .next()
        .filter(|kind| "012356".contains(*kind))
        .ok_or(DecodeError::Type)?;
    let mut rest = characters.as_str();
    let mut missing = 0;
    if matches!(kind, '5' | '6') {
        let (count, after) = rest.split_once('-').ok_or(DecodeError::AttachmentCount)?;
        missing = number(count).ok_or(DecodeError::AttachmentCount)?;
        rest = after;
    }
    let (namespace, rest) = split_namespace(rest);
    let (id, payload) = split_id(rest)?;
    let kind = match kind {
        '0' => Kind::Connect {
            auth: auth(payload)?,
        },
        '1' if payload.is_empty() => Kind::Disconnect,
        '1' => return Err(DecodeError::Payload),
        '2' | '5' => Kind::Event {
            ack: id,
            args: event_args(payload)?,
            attachments: Vec::new(),
        },
        _ => Kind::Ack {
            id: id.ok_or(DecodeError::AckId)?,
            args: Args::parse(payload).ok_or(DecodeError::Payload)?,
            attachments: Vec::new(),
        },
    };
    Ok((
        Packet {
            namespace: namespace.into(),
            kind,
        },
        missing,
    ))
}

/// The namespace, without the query that older clients append, and what follows it.
fn split_namespace(text: &str) -> (&str, &str) {
    if !text.starts_with('/') {
        return ("/", text);
    }
    let (namespace, rest) = text.split_once(',').unwrap_or((text, ""));
    (
        namespace
            .split_once('?')
            .map_or(namespace, |(path, _)| path),
        rest,
    )
}

fn split_id(text: &str) -> Result<(Option<u64>, &str), DecodeError> {
    let end = text
        .find(|character: char| !character.is_ascii_digit())
        .unwrap_or(text.len());
    match text.split_at(end) {
        ("", payload) => Ok((None, payload)),
        (digits, payload) => Ok((Some(number(digits).ok_or(DecodeError::AckId)?), payload)),
    }
}

/// Digits only: the standard parser would also take a plus sign.
fn number<T: std::str::FromStr>(digits: &str) -> Option<T> {
    digits
        .bytes()
        .all(|byte| byte.is_ascii_digit())
        .then(|| digits.parse().ok())
        .flatten()
}

fn auth(payload: &str) -> Result<Option<Box<serde_json::value::RawValue>>, DecodeError> {
    match payload.as_bytes().first() {
        None => Ok(None),
        Some(b'{') => serde_json::from_str(payload)
            .map(Some)
            .map_err(|_| DecodeError::Payload),
        Some(_) => Err(DecodeError::Payload),
    }
}

fn event_args(payload: &str) -> Result<Args, DecodeError> {
    let args = Args::parse(payload).ok_or(DecodeError::Payload)?;
    match args.name() {
        Some(name) if !RESERVED.contains(&name.as_ref()) => Ok(args),
        _ => Err(DecodeError::Name),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::value::{RawValue, to_raw_value};

    use super::super::encode;
    use super::*;

    const LIMITS: AttachmentLimits = AttachmentLimits { count: 2, bytes: 8 };

    fn decode(text: &str) -> Result<Option<Packet>, DecodeError> {
        Decoder::new(LIMITS).decode(Frame::text(text))
    }

    fn packet(text: &str) -> Packet {
        decode(text).unwrap().unwrap()
    }

    fn binary(bytes: &'static [u8]) -> Frame {
        Frame::Binary(Bytes::from_static(bytes))
    }

    #[test]
    fn connects_with_and_without_auth() {
        for (text, namespace, auth) in [
            ("40", "/", None),
            ("40{\"token\":\"x\"}", "/", Some("{\"token\":\"x\"}")),
            ("40/custom", "/custom", None),
            ("40/custom,", "/custom", None),
            ("40/custom?token=1&x=2,{}", "/custom", Some("{}")),
        ] {
            let packet = packet(text);
            assert_eq!(&*packet.namespace, namespace, "{text}");
            let Kind::Connect { auth: read } = packet.kind else {
                panic!("{text}")
            };
            assert_eq!(read.as_deref().map(RawValue::get), auth, "{text}");
        }
    }

    #[test]
    fn events_and_answers() {
        let Kind::Event { ack, args, .. } = packet("42/a,12[\"hello\",1]").kind else {
            panic!()
        };
        assert_eq!((ack, args.name().unwrap().as_ref()), (Some(12), "hello"));
        assert_eq!(args.first().unwrap().get(), "1");
        let Kind::Ack { id, args, .. } = packet("4318446744073709551615[]").kind else {
            panic!()
        };
        assert_eq!((id, args.items().len()), (u64::MAX, 0));
        assert!(matches!(packet("41/admin,").kind, Kind::Disconnect));
    }

    #[test]
    fn attachments_are_gathered() {
        let mut decoder = Decoder::new(LIMITS);
        let text = r#"452-7["m",{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]"#;
        assert!(decoder.decode(Frame::text(text)).unwrap().is_none());
        assert!(decoder.decode(binary(&[1])).unwrap().is_none());
        let packet = decoder.decode(binary(&[2, 3])).unwrap().unwrap();
        let Kind::Event {
            ack: Some(7),
            attachments,
            ..
        } = packet.kind
        else {
            panic!()
        };
        assert_eq!(attachments, [&[1][..], &[2, 3]]);
        assert!(decoder.decode(Frame::text("42[\"m\"]")).unwrap().is_some());
    }

    #[test]
    fn attachments_are_bounded_and_in_turn() {
        assert_eq!(
            decode("453-[\"m\"]").unwrap_err(),
            DecodeError::AttachmentLimit
        );
        let huge = "4599999999999999999999-[\"m\"]";
        assert_eq!(decode(huge).unwrap_err(), DecodeError::AttachmentCount);
        let mut decoder = Decoder::new(LIMITS);
        decoder.decode(Frame::text("451-[\"m\"]")).unwrap();
        assert_eq!(
            decoder.decode(binary(&[0; 9])).unwrap_err(),
            DecodeError::AttachmentLimit
        );
        let mut decoder = Decoder::new(LIMITS);
        decoder.decode(Frame::text("451-[\"m\"]")).unwrap();
        let text = decoder.decode(Frame::text("42[\"m\"]"));
        assert_eq!(text.unwrap_err(), DecodeError::AttachmentMissing);
        assert_eq!(
            decoder.decode(binary(&[])).unwrap_err(),
            DecodeError::AttachmentUnexpected
        );
    }

    #[test]
    fn what_is_no_packet_is_refused() {
        for (text, error) in [
            ("", DecodeError::NotAMessage),
            ("2[\"m\"]", DecodeError::NotAMessage),
            ("4", DecodeError::Type),
            ("4abc", DecodeError::Type),
            ("4€", DecodeError::Type),
            ("44{}", DecodeError::Type),
            ("47[]", DecodeError::Type),
            ("45[\"m\"]", DecodeError::AttachmentCount),
            ("45+1-[\"m\"]", DecodeError::AttachmentCount),
            ("40[]", DecodeError::Payload),
            ("40{", DecodeError::Payload),
            ("41x", DecodeError::Payload),
            ("42", DecodeError::Payload),
            ("42{}", DecodeError::Payload),
            ("42abc[\"m\"]", DecodeError::Payload),
            ("42/a", DecodeError::Payload),
            ("42[\"m\"", DecodeError::Payload),
            ("42[]", DecodeError::Name),
            ("42[null]", DecodeError::Name),
            ("42[\"disconnecting\"]", DecodeError::Name),
            ("42[\"conn\\u0065ct\"]", DecodeError::Name),
            ("43[]", DecodeError::AckId),
            ("4318446744073709551616[]", DecodeError::AckId),
            ("431", DecodeError::Payload),
        ] {
            assert_eq!(decode(text).unwrap_err(), error, "{text}");
        }
    }

    fn namespaces() -> impl Strategy<Value = String> {
        "(/[a-z0-9/_-]{1,8})|/"
    }

    proptest! {
        #[test]
        fn events_round_trip(
            namespace in namespaces(), name in "\\PC*", ack: Option<u64>,
            data: Vec<String>, attachments in prop::collection::vec(any::<[u8; 4]>(), 0..3),
        ) {
            prop_assume!(!RESERVED.contains(&name.as_str()));
            let data: Vec<_> = data.iter().map(|item| to_raw_value(item).unwrap()).collect();
            let items = data.iter().map(AsRef::as_ref);
            let frames = if attachments.is_empty() {
                vec![encode::event(&namespace, ack, &name, items)]
            } else {
                let attachments = attachments.iter().map(|bytes| Bytes::copy_from_slice(bytes));
                encode::binary_event(&namespace, ack, &name, items, attachments.collect())
            };
            let mut decoder = Decoder::new(LIMITS);
            let packets: Vec<_> = frames.into_iter().filter_map(|frame| decoder.decode(frame).unwrap()).collect();
            prop_assert_eq!(packets.len(), 1);
            prop_assert_eq!(&*packets[0].namespace, namespace);
            let Kind::Event { ack: read, args, attachments: got } = &packets[0].kind else { panic!() };
            prop_assert_eq!(*read, ack);
            prop_assert_eq!(args.name().unwrap(), name);
            let texts = |items: &[&RawValue]| items.iter().map(|item| item.get().to_owned()).collect::<Vec<_>>();
            prop_assert_eq!(texts(&args.items()[1..]), data.iter().map(|item| item.get().to_owned()).collect::<Vec<_>>());
            let got: Vec<_> = got.iter().map(|bytes| bytes.to_vec()).collect();
            prop_assert_eq!(got, attachments.iter().map(|bytes| bytes.to_vec()).collect::<Vec<_>>());
        }

        #[test]
        fn answers_round_trip(namespace in namespaces(), id: u64, data: Vec<bool>) {
            let data: Vec<_> = data.iter().map(|item| to_raw_value(item).unwrap()).collect();
            let frame = encode::ack(&namespace, id, data.iter().map(AsRef::as_ref));
            let packet = Decoder::new(LIMITS).decode(frame).unwrap().unwrap();
            prop_assert_eq!(&*packet.namespace, namespace);
            let Kind::Ack { id: read, args, .. } = packet.kind else { panic!() };
            prop_assert_eq!((read, args.items().len()), (id, data.len()));
        }

        #[test]
        fn garbage_never_panics(texts: Vec<String>, bytes: Vec<u8>) {
            let mut decoder = Decoder::new(LIMITS);
            for text in texts {
                let _ = decoder.decode(Frame::text(text));
            }
            let _ = decoder.decode(Frame::Binary(bytes.into()));
        }

        #[test]
        fn nearly_right_never_panics(text in "4[0-6][0-9]{0,3}-?(/[a-z?€]{0,3},?)?[0-9]{0,21}[\\[{\"a€\\]}0,\\\\]{0,12}") {
            let _ = decode(&text);
        }
    }
}
