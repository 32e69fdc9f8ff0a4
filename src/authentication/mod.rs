//! Turns a token, a session id or Supervisor's identity header into a principal. What the principal may do is decided
//! elsewhere.

mod credential;
mod error;
mod ingress;

pub(crate) use credential::{Authenticated, Credential, FirstUse, authenticate, verify};
pub(crate) use error::AuthError;
pub(crate) use ingress::{ADMIN_LIST_MAX_AGE, IngressAuthenticator, USER_HEADER, Verdict};
