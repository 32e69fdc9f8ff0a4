//! Principals and the tokens that name them. Whether a token is still valid is a question for the store, and is asked
//! above this crate.

mod jwt;
mod principal;

pub use jwt::{Claims, KEY_BYTES, Signer, TokenError};
pub use principal::{Principal, Role, Subject};
