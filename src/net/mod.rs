//! Accepted connections: their bytes and progress, how many may be open, and how one is upgraded to a socket.

mod bound_addresses;
mod connection_limit;
mod socket_limit;
mod stream;
mod upgrade;

pub(crate) use bound_addresses::BoundAddresses;
pub(crate) use connection_limit::{ConnectionLimit, ConnectionPermit};
pub(crate) use socket_limit::{SocketLimit, SocketPermit};
pub(crate) use stream::{MeteredStream, Stream};
pub(crate) use upgrade::{PendingUpgrade, upgrade};

/// Engine.IO over accepted connections.
pub(crate) type Engine = realtime_protocol::engineio::Engine<Stream>;

/// The largest message, in bytes, before a socket is authenticated (`docs/protocol.md#options`).
pub(crate) const MAX_UNAUTHENTICATED_MESSAGE: usize = 2048;
