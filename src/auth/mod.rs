//! Who is behind a request or a socket, and what that principal may hear and enter.
//!
//! One function says who may hear what (`entitlement`): live delivery, the first snapshot and
//! replay all ask it. Knows no HTTP.

mod credential;
pub mod entitlement;
mod jwt;
mod limits;
mod principal;

pub use credential::{AuthError, Credential, FirstUse, Grant, Presented, authenticate, present};
pub use jwt::{Claims, KEY_BYTES, Signer};
pub use limits::{ConnectionLimits, Place};
pub use principal::{Principal, Role, Subject};
