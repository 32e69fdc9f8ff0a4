//! Principals and the tokens that identify them. Whether a token is revoked is checked against the store, above this
//! crate.

mod jwt;
mod principal;

pub use jwt::{Claims, KEY_BYTES, Signer, TokenError};
pub use principal::{Principal, Role, Subject};
