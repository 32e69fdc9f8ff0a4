//! HTTP: listeners, connections, who the caller is, and which function answers which URL.
//!
//! Makes no decision of its own about areas, clients or events. Of an upgraded connection it keeps
//! nothing once the session has it.

mod body;
mod conn;
mod cors;
mod events;
mod fields;
mod handover;
mod health;
mod identity;
mod ingress;
mod listeners;
mod once;
pub mod page;
mod pages;
mod request;
mod response;
mod router;
mod seats;
mod spelling;
mod stream;

pub use conn::serve_local;
pub(crate) use fields::text_fields;
pub use fields::{Fields, FromField, from_text};
pub use handover::hand_over;
pub use identity::{
    SESSION_COOKIE, Source, check_origin, credential_of, prove, refuse_token_in_url,
};
pub use ingress::{IngressGate, repeat as repeat_ingress_check};
pub use listeners::{Bound, ListenError, Listeners};
pub use request::{Caller, Entrance, Peer, Request};
pub use response::{ApiError, Reply, Response};
pub use router::{Access, Incoming, Route, keyed_routes, respond, routes};
pub use stream::Stream;
