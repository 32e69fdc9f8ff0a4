//! From what a request or a socket presents (a token, a session id, Supervisor's identity header) to a principal.

mod credential;
mod error;
mod ingress;

pub(crate) use credential::{Credential, FirstUse, Grant, authenticate, present};
pub(crate) use error::AuthError;
pub(crate) use ingress::{FRESH, IngressAuthenticator, USER_HEADER, Verdict};
