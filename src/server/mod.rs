//! The listeners and the connections that they accept: TLS on the public listener, then HTTP/1.1. An upgraded
//! connection leaves this module and belongs to its socket's task.

mod conn;
mod header_case;
mod listeners;

pub use conn::serve_local;
pub use listeners::{ListenError, Listeners};
