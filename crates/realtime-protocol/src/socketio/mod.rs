//! A codec for Socket.IO protocol version 5, server side. It does no I/O and keeps no sessions or namespaces.
//!
//! [`Decoder`] turns the Engine.IO messages of one client into [`Packet`]s. The functions [`connect`], [`event`],
//! [`ack`] and so on encode packets as frames that are ready to send. Payloads stay JSON text.

mod args;
mod decode;
mod encode;
#[cfg(test)]
mod tests;

pub use self::args::Args;
pub use self::decode::{AttachmentLimits, DecodeError, Decoder};
pub use self::encode::{ack, binary_ack, binary_event, connect, connect_error, disconnect, event};

use bytes::Bytes;
use serde_json::value::RawValue;

/// A packet from a client.
#[derive(Debug, Clone)]
pub struct Packet {
    /// The namespace, `/` or `/name`, without a query string. Not validated further.
    pub namespace: Box<str>,
    /// The packet type with its data.
    pub data: PacketData,
}

/// The packet types that a client may send. BINARY_EVENT and BINARY_ACK are `Event` and `Ack` with attachments.
#[derive(Debug, Clone)]
pub enum PacketData {
    /// CONNECT: the client asks to join the namespace.
    Connect {
        /// The credentials that the client sent, a JSON object.
        auth: Option<Box<RawValue>>,
    },
    /// DISCONNECT: the client leaves the namespace.
    Disconnect,
    /// EVENT or BINARY_EVENT.
    Event {
        /// The acknowledgement id, if the client expects an [`ack`].
        ack: Option<u64>,
        /// The name, which is not a reserved one, and the arguments. An attachment appears as
        /// `{"_placeholder":true,"num":0}`, where `num` is its index.
        args: Args,
        /// The binary attachments, ordered by index.
        attachments: Vec<Bytes>,
    },
    /// ACK or BINARY_ACK: the acknowledgement of an event that the server sent.
    Ack {
        /// The acknowledgement id of that event.
        id: u64,
        /// The arguments, possibly none.
        args: Args,
        /// The binary attachments, ordered by index.
        attachments: Vec<Bytes>,
    },
}
