//! Socket.IO protocol 5: frames to packets and back; no IO, no sessions, no namespaces of its own.

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

/// One packet of a client's.
#[derive(Debug, Clone)]
pub struct Packet {
    /// The namespace it is for, `/` or `/name`, without any query.
    pub namespace: Box<str>,
    /// What it says.
    pub kind: Kind,
}

/// What a packet says.
#[derive(Debug, Clone)]
pub enum Kind {
    /// The client wants to enter the namespace.
    Connect {
        /// What it brings to be let in: a JSON object, if anything.
        auth: Option<Box<RawValue>>,
    },
    /// The client leaves the namespace.
    Disconnect,
    /// An event with at least a name.
    Event {
        /// Where the client waits for the answer, if it does.
        ack: Option<u64>,
        /// The name and the arguments; an attachment is a `{"_placeholder":true,"num":0}` in it.
        args: Args,
        /// The binary attachments, in the order of their numbers.
        attachments: Vec<Bytes>,
    },
    /// The answer to an event of the server's.
    Ack {
        /// The id that the server gave the event.
        id: u64,
        /// The answer's arguments, perhaps none.
        args: Args,
        /// The binary attachments, in the order of their numbers.
        attachments: Vec<Bytes>,
    },
}
