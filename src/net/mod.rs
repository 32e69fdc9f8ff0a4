//! Accepted connections: their bytes and progress, how many may be open, and how one leaves hyper for a socket.

mod connection_limit;
mod handover;
mod socket_limit;
mod stream;

pub(crate) use connection_limit::{ConnectionLimit, ConnectionPermit};
pub(crate) use handover::Handover;
pub(crate) use handover::hand_over;
pub(crate) use socket_limit::{SocketLimit, SocketPermit};
pub(crate) use stream::Counted;
pub(crate) use stream::Stream;
