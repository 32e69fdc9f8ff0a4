//! Why a credential is refused, and what that is over HTTP.

use wallcast_core::auth::TokenError;
use wallcast_core::store::StoreError;

use crate::http::ApiError;

/// Why a credential was refused. The texts tell nothing of what exists.
#[derive(Debug, thiserror::Error)]
pub enum AuthError {
    /// None was given.
    #[error("A token is required: send it as Authorization: Bearer")]
    Missing,
    /// Not a token of this house, or a session id that it does not know.
    #[error("The token is not valid")]
    InvalidToken,
    /// Its time is over.
    #[error("The token has expired; ask for a new one")]
    Expired,
    /// An admin revoked it.
    #[error("The token was revoked; pair this tablet again")]
    Revoked,
    /// The client is deactivated.
    #[error("An admin has deactivated this client")]
    Inactive,
    /// What stood beside the token says something else than the token (contract 4.5).
    #[error("{0} does not agree with the token")]
    Disagrees(&'static str),
    /// The store could not say.
    #[error("The token could not be checked now; try again")]
    Store(#[from] StoreError),
}

impl PartialEq for AuthError {
    fn eq(&self, other: &Self) -> bool {
        self.code() == other.code()
    }
}

impl From<rusqlite::Error> for AuthError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Store(error.into())
    }
}

impl From<TokenError> for AuthError {
    fn from(error: TokenError) -> Self {
        match error {
            TokenError::Invalid => Self::InvalidToken,
            TokenError::Expired => Self::Expired,
        }
    }
}

impl AuthError {
    /// The stable word for programs.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Missing => "unauthenticated",
            Self::InvalidToken => "invalid_token",
            Self::Expired => "token_expired",
            Self::Revoked => "revoked",
            Self::Inactive => "inactive",
            Self::Disagrees(_) => "token_mismatch",
            Self::Store(_) => "unavailable",
        }
    }
}

impl From<AuthError> for ApiError {
    fn from(error: AuthError) -> Self {
        match error {
            AuthError::Store(error) => error.into(),
            error => Self::unauthenticated(error.code(), error.to_string()),
        }
    }
}
