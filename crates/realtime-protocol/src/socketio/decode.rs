//! Decodes a client's Socket.IO packets (protocol version 5, "Packet encoding") and collects their attachments.
//! Input is untrusted: sizes are bounded, and no input panics.

use bytes::Bytes;

use super::{Args, Packet, PacketData};
use crate::Frame;

/// Event names that the Socket.IO protocol reserves for the client's own events.
pub(super) const RESERVED: [&str; 6] = [
    "connect",
    "connect_error",
    "disconnect",
    "disconnecting",
    "newListener",
    "removeListener",
];

/// Bounds on the binary attachments of one packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AttachmentLimits {
    /// The maximum number of attachments. 0 rejects every binary packet.
    pub count: usize,
    /// The maximum total size of the attachments in bytes.
    pub bytes: usize,
}

/// Why a frame was rejected.
///
/// Close the connection after an error: decoder and client no longer agree on where a packet starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// The frame is not an Engine.IO message packet.
    #[error("a Socket.IO packet is an Engine.IO message, which starts with 4")]
    NotAMessage,
    /// The packet type is unknown, or only servers may send it.
    #[error("the packet type must be 0 to 3, 5 or 6")]
    Type,
    /// The number of attachments is missing or not a number.
    #[error("a binary packet must give its number of attachments, as in `51-`")]
    AttachmentCount,
    /// The attachments exceed the [`AttachmentLimits`].
    #[error("the packet's attachments exceed the limit")]
    AttachmentLimit,
    /// A text frame arrived before all attachments of the previous packet.
    #[error("the attachments of a packet must directly follow it")]
    AttachmentMissing,
    /// A binary frame arrived without a packet that announced it.
    #[error("a binary frame must follow the packet it belongs to")]
    AttachmentUnexpected,
    /// The acknowledgement id is too large, or missing from an ACK packet.
    #[error("an acknowledgement id must be a number below 2^64")]
    AckId,
    /// The payload is not the JSON that the packet type requires.
    #[error("the payload does not match the packet type")]
    Payload,
    /// The event name is missing or reserved.
    #[error("an event must start with a name that is not reserved")]
    Name,
}

/// Decodes the frames of one connection into packets.
#[derive(Debug)]
pub struct Decoder {
    limits: AttachmentLimits,
    partial: Option<Partial>,
}

/// A packet whose attachments have not all arrived.
#[derive(Debug)]
struct Partial {
    packet: Packet,
    missing: usize,
    bytes_left: usize,
}

impl Decoder {
    /// Creates a decoder for a new connection.
    pub fn new(limits: AttachmentLimits) -> Self {
        Self {
            limits,
            partial: None,
        }
    }

    /// Decodes the next frame, in the order of arrival. Returns `None` while attachments are missing.
    ///
    /// # Errors
    /// The frame is not a valid packet or attachment, or exceeds a limit. The partial packet is dropped.
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
        if let PacketData::Event { attachments, .. } | PacketData::Ack { attachments, .. } =
            &mut partial.packet.data
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

/// Parses a packet's text. Also returns the number of attachments that follow.
fn parse(text: &str) -> Result<(Packet, usize), DecodeError> {
    let rest = text.strip_prefix('4').ok_or(DecodeError::NotAMessage)?;
    let mut characters = rest.chars();
    let packet_type = characters
        .next()
        .filter(|packet_type| "012356".contains(*packet_type))
        .ok_or(DecodeError::Type)?;
    let mut rest = characters.as_str();
    let mut missing = 0;
    if matches!(packet_type, '5' | '6') {
        let (count, after) = rest.split_once('-').ok_or(DecodeError::AttachmentCount)?;
        missing = number(count).ok_or(DecodeError::AttachmentCount)?;
        rest = after;
    }
    let (namespace, rest) = split_namespace(rest);
    let (id, payload) = split_id(rest)?;
    let data = match packet_type {
        '0' => PacketData::Connect {
            auth: auth(payload)?,
        },
        '1' if payload.is_empty() => PacketData::Disconnect,
        '1' => return Err(DecodeError::Payload),
        '2' | '5' => PacketData::Event {
            ack: id,
            args: event_args(payload)?,
            attachments: Vec::new(),
        },
        _ => PacketData::Ack {
            id: id.ok_or(DecodeError::AckId)?,
            args: Args::parse(payload).ok_or(DecodeError::Payload)?,
            attachments: Vec::new(),
        },
    };
    Ok((
        Packet {
            namespace: namespace.into(),
            data,
        },
        missing,
    ))
}

/// Returns the namespace without the query string that older clients append, and the rest of the packet.
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

/// Accepts digits only; `str::parse` would also accept a plus sign.
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
