//! Who is behind a request or a socket, and what that principal may hear and enter.
//!
//! One function says who may hear what (`entitlement`): live delivery, the first snapshot and
//! replay all ask it. Knows no HTTP.

mod credential;
pub mod entitlement;
mod ingress;

pub use credential::{AuthError, Credential, FirstUse, Grant, Presented, authenticate, present};
pub(crate) use ingress::USER_HEADER;
pub use ingress::{IngressAuthenticator, repeat as repeat_ingress_check};
