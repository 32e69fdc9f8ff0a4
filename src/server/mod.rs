//! HTTP: listeners, connections, who the caller is, and which function answers which URL.
//!
//! Makes no decision of its own about areas, clients or events. Of an upgraded connection it keeps
//! nothing once the session has it.

mod body;
mod conn;
mod connection_limit;
mod cors;
mod events;
mod fields;
mod handover;
mod header_case;
mod health;
mod idempotency;
mod identity;
mod ingress;
mod listeners;
pub mod page;
mod pages;
mod request;
mod response;
mod router;
mod stream;

pub use conn::serve_local;
pub(crate) use fields::text_fields;
pub use fields::{Fields, FromField, from_text};
pub use handover::hand_over;
pub use identity::{
    SESSION_COOKIE, Source, check_origin, credential_of, prove, refuse_token_in_url,
};
pub use ingress::{IngressAuthenticator, repeat as repeat_ingress_check};
pub use listeners::{Bound, ListenError, Listeners};
pub use request::{Caller, ListenerKind, Peer, Request};
pub use response::{ApiError, Reply, Response};
pub use router::{Access, Incoming, Route, keyed_routes, respond, routes};
pub use stream::Stream;
