//! The listeners and the connections that they accept: TLS where it belongs, then HTTP/1.1.
//!
//! Of an upgraded connection nothing is kept here once the session has it.

mod conn;
mod header_case;
mod listeners;

pub use conn::serve_local;
pub use listeners::{ListenError, Listeners};
