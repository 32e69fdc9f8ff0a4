//! HTTP types that all routes share: requests with their authenticated caller, fields of a JSON body, replies, errors
//! and list pages. Contains no routes and no feature code.

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

/// A request from hyper whose body has not been read yet.
pub type Incoming = hyper::Request<hyper::body::Incoming>;
