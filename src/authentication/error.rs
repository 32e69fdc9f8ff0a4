//! Why a credential is refused, and the HTTP error for it.

use wallcast_core::auth::TokenError;
use wallcast_core::store::StoreError;

use crate::http::ApiError;

/// Why a credential is refused. The texts do not reveal what exists.
#[derive(Debug, thiserror::Error)]
pub enum AuthError {
    /// The request has no credential.
    #[error("A token is required: send it as Authorization: Bearer")]
    Missing,
    /// Not signed by this server, or unknown to it.
    #[error("The token is not valid")]
    InvalidToken,
    #[error("The token has expired; ask for a new one")]
    Expired,
    #[error("The token was revoked; pair this tablet again")]
    Revoked,
    #[error("An admin has deactivated this client")]
    Inactive,
    /// A field beside the token in `authenticate` differs from the token.
    #[error("`{0}` does not match the token")]
    Mismatch(&'static str),
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
    /// The error's stable `code`.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Missing => "unauthenticated",
            Self::InvalidToken => "invalid_token",
            Self::Expired => "token_expired",
            Self::Revoked => "revoked",
            Self::Inactive => "inactive",
            Self::Mismatch(_) => "token_mismatch",
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
