//! Reads a client's Socket.IO packets (protocol 5, "Packet encoding") and gathers their attachments; whatever comes in, it is bounded and never panics.

use bytes::Bytes;

use super::{Args, Kind, Packet};
use crate::Frame;

/// The names that mean something to clients themselves and so may not be emitted.
pub(super) const RESERVED: [&str; 6] = [
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
