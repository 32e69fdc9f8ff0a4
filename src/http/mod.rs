//! The vocabulary of HTTP: requests with their caller, fields of a body, replies and errors.
//!
//! It knows no route and no feature.

mod body;
mod cookie;
mod fields;
pub mod page;
mod request;
mod response;

pub(crate) use body::read as read_body;
pub use cookie::{SESSION_COOKIE, session_cookie};
pub(crate) use fields::text_fields;
pub use fields::{Fields, FromField, from_text};
pub use request::{Caller, ListenerKind, Peer, Request};
pub use response::{ApiError, Reply, Response};

/// A request as hyper hands it over, its body not yet read.
pub type Incoming = hyper::Request<hyper::body::Incoming>;
