//! What a session may ask for (contract 4.5), as a closed list.

use crate::server::{ApiError, Fields};

/// A message that makes sense.
#[derive(Debug)]
pub(super) enum Command {
    /// Who I am.
    Authenticate(Authenticate),
    /// Are you there?
    Ping,
}

/// `authenticate`: seed 4's token, and what seed 2 says beside it, which must agree.
pub(super) struct Authenticate {
    pub(super) token: String,
    pub(super) user_id: Option<String>,
    pub(super) organization_id: Option<String>,
    pub(super) tenant_id: Option<String>,
    pub(super) user_role: Option<String>,
}

impl std::fmt::Debug for Authenticate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Authenticate(***)")
    }
}

impl Command {
    /// Parses a message by its type.
    ///
    /// # Errors
    /// `unknown_type`, or the field that is wrong.
    pub(super) fn parse(kind: &str, mut fields: Fields) -> Result<Self, ApiError> {
        match kind {
            "ping" => Ok(Self::Ping),
            "authenticate" => Ok(Self::Authenticate(Authenticate {
                token: fields.optional("token")?.unwrap_or_default(),
                user_id: fields.optional("userId")?,
                organization_id: fields.optional("organizationId")?,
                tenant_id: fields.optional("tenantId")?,
                user_role: fields.optional("userRole")?,
            })),
            _ => Err(unknown_type()),
        }
    }
}

fn unknown_type() -> ApiError {
    ApiError::new(
        hyper::StatusCode::BAD_REQUEST,
        "unknown_type",
        "Wallcast knows no message of this type",
    )
}
