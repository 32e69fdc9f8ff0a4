//! Authenticates tokens and session ids in two steps. [`verify`] checks signature and expiry without the store;
//! [`authenticate`] checks the store, in the same read in which the caller reads its data.

use rusqlite::Connection;
use wallcast_core::auth::{Claims, Principal, Signer, Subject};
use wallcast_core::clock::Timestamp;
use wallcast_core::ids::{Jti, PairingId};

use super::error::AuthError;
use crate::pairing::PairingRegistry;
use crate::{clients, tokens};

/// What a request authenticates with. Its `Debug` output hides the secret.
#[derive(Clone)]
pub(crate) enum Credential {
    /// A JWT.
    Token(String),
    /// A session id from `POST /api/auth/session`.
    SessionId(String),
}

impl std::fmt::Debug for Credential {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Credential(***)")
    }
}

impl Credential {
    /// Parses a credential: a text with a dot is a token, any other text is a session id.
    pub(crate) fn parse(text: &str) -> Self {
        if text.contains('.') {
            Self::Token(text.to_owned())
        } else {
            Self::SessionId(text.to_owned())
        }
    }
}

/// A credential that passed the checks that need no store.
#[derive(Debug)]
pub(crate) enum VerifiedCredential {
    /// The claims of a token with a valid signature.
    Claims(Claims),
    /// The hash of a session id.
    SessionHash([u8; 32]),
}

#[derive(Debug)]
pub(crate) struct Authenticated {
    pub principal: Principal,
    /// Set if the token was never used before. The caller must pass it to `App::record_first_use`.
    pub first_use: Option<FirstUse>,
}

/// The first use of a token.
#[derive(Debug)]
pub struct FirstUse {
    pub jti: Jti,
    pub at: Timestamp,
    /// Whether this use ends the pairing that issued the token. Then it must be stored before the request is
    /// answered (`docs/protocol.md#pairing`).
    pub ends_pairing: bool,
}

/// Checks what needs no store: a token's signature and expiry. A session id is only hashed.
///
/// # Errors
/// [`AuthError::InvalidToken`] or [`AuthError::Expired`].
pub(crate) fn verify(
    signer: &Signer,
    credential: &Credential,
) -> Result<VerifiedCredential, AuthError> {
    match credential {
        Credential::Token(token) => Ok(VerifiedCredential::Claims(signer.verify(token)?)),
        Credential::SessionId(id) => Ok(VerifiedCredential::SessionHash(tokens::hash_of(id))),
    }
}

/// Checks a verified credential against the store: known, not revoked, not expired, its client active.
///
/// # Errors
/// Why it is not valid.
pub(crate) fn authenticate(
    connection: &Connection,
    pairings: &PairingRegistry,
    verified: &VerifiedCredential,
    now: Timestamp,
) -> Result<Authenticated, AuthError> {
    let token = match verified {
        VerifiedCredential::Claims(claims) => {
            let subject = claims.subject()?;
            if let Subject::Pairing(id) = subject {
                return authenticate_pairing(connection, pairings, id, claims, now);
            }
            let jti = claims.jti.parse().map_err(|_| AuthError::InvalidToken)?;
            let token = tokens::find(connection, &jti)?.ok_or(AuthError::InvalidToken)?;
            if token.subject != subject {
                return Err(AuthError::InvalidToken);
            }
            token
        }
        VerifiedCredential::SessionHash(hash) => {
            tokens::find_by_session(connection, hash)?.ok_or(AuthError::InvalidToken)?
        }
    };
    if token.revoked_at.is_some() {
        return Err(AuthError::Revoked);
    }
    let expires_at = token.expires_at.min(token.valid_until);
    if expires_at <= now {
        return Err(AuthError::Expired);
    }
    let first_use = token.first_used_at.is_none().then(|| FirstUse {
        jti: token.jti.clone(),
        at: now,
        ends_pairing: token.has_open_pairing(now),
    });
    let mut principal = Principal {
        subject: token.subject,
        jti: Some(token.jti),
        expires_at: Some(expires_at),
        email: token.email,
        organization_id: token.organization_id,
        tenant_id: token.tenant_id,
    };
    if let Subject::Client(id) = &principal.subject {
        let client = clients::find(connection, id)?.ok_or(AuthError::Revoked)?;
        if !client.is_active {
            return Err(AuthError::Inactive);
        }
        principal.organization_id = client.organization_id;
        principal.tenant_id = client.tenant_id;
    }
    Ok(Authenticated {
        principal,
        first_use,
    })
}

/// A `pairingToken` is valid while its pairing is open, or while the token that it issued is unused.
fn authenticate_pairing(
    connection: &Connection,
    pairings: &PairingRegistry,
    id: PairingId,
    claims: &Claims,
    now: Timestamp,
) -> Result<Authenticated, AuthError> {
    let is_valid = pairings.has_request(&id, now)
        || tokens::find_unused_by_pairing(connection, &id, now)?.is_some();
    if !is_valid {
        return Err(AuthError::Expired);
    }
    Ok(Authenticated {
        principal: Principal {
            subject: Subject::Pairing(id),
            jti: claims.jti.parse().ok(),
            expires_at: Some(Timestamp::from_unix_ms(claims.exp.saturating_mul(1000))),
            email: None,
            organization_id: None,
            tenant_id: None,
        },
        first_use: None,
    })
}
