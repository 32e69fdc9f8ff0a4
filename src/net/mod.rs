//! Accepted connections: their bytes and progress, how many may be open, and how one leaves hyper for a socket.

mod bound_addresses;
mod connection_limit;
mod handover;
mod socket_limit;
mod stream;

pub(crate) use bound_addresses::BoundAddresses;
pub(crate) use connection_limit::{ConnectionLimit, ConnectionPermit};
pub(crate) use handover::Handover;
pub(crate) use handover::hand_over;
pub(crate) use socket_limit::{SocketLimit, SocketPermit};
pub(crate) use stream::Counted;
pub(crate) use stream::Stream;

/// Engine.IO over accepted connections.
pub(crate) type Engine = realtime_protocol::engineio::Engine<Stream>;

/// The largest message, in bytes, before a socket is authenticated (`docs/protocol.md#options`).
pub(crate) const MAX_UNAUTHENTICATED_MESSAGE: usize = 2048;
