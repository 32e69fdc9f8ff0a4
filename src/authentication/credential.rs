//! From what a request or socket presents to a proven principal.
//!
//! The signature is checked first, without the store. Whether the token still stands is then asked
//! of the store in the same moment in which the caller reads what it is about to show.

use rusqlite::Connection;

use super::error::AuthError;
use crate::pairing::PairingRegistry;
use crate::{clients, tokens};
use wallcast_core::auth::{Claims, Principal, Signer, Subject};
use wallcast_core::clock::Timestamp;
use wallcast_core::ids::Jti;

/// What was presented. Its debug form tells nothing.
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
    /// Tells a token (three parts) from an opaque session id (contract section 3).
    pub(crate) fn parse(text: &str) -> Self {
        if text.contains('.') {
            Self::Token(text.to_owned())
        } else {
            Self::SessionId(text.to_owned())
        }
    }
}

/// A credential whose signature is good, before the store was asked.
#[derive(Debug)]
pub(crate) enum Presented {
    /// A token.
    Claims(Claims),
    /// A session id, as the store knows it.
    SessionHash([u8; 32]),
}

/// A credential that stands.
#[derive(Debug)]
pub(crate) struct Grant {
    /// Whose it is.
    pub principal: Principal,
    /// Set when the token was never used before.
    pub first_use: Option<FirstUse>,
}

/// The first use of a token, which is to be remembered.
#[derive(Debug)]
pub struct FirstUse {
    /// Of which token.
    pub jti: Jti,
    /// When.
    pub at: Timestamp,
    /// Whether it ends the pairing behind the token, which must be stored before anything is
    /// answered (contract 6.2).
    pub ends_pairing: bool,
}

/// Checks signature and expiry; asks nobody.
///
/// # Errors
/// [`AuthError::InvalidToken`] or [`AuthError::Expired`].
pub(crate) fn present(signer: &Signer, credential: &Credential) -> Result<Presented, AuthError> {
    match credential {
        Credential::Token(token) => Ok(Presented::Claims(signer.verify(token)?)),
        Credential::SessionId(id) => Ok(Presented::SessionHash(tokens::hash_of(id))),
    }
}

/// Asks the store whether what was presented still stands, and whose it is.
///
/// # Errors
/// Why not.
pub(crate) fn authenticate(
    connection: &Connection,
    pairings: &PairingRegistry,
    presented: &Presented,
    now: Timestamp,
) -> Result<Grant, AuthError> {
    let token = match presented {
        Presented::Claims(claims) => {
            let subject = claims.subject()?;
            if let Subject::Pairing(id) = subject {
                return pairing_grant(connection, pairings, id, claims, now);
            }
            let jti = claims.jti.parse().map_err(|_| AuthError::InvalidToken)?;
            let token = tokens::find(connection, &jti)?.ok_or(AuthError::InvalidToken)?;
            if token.subject != subject {
                return Err(AuthError::InvalidToken);
            }
            token
        }
        Presented::SessionHash(hash) => {
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
    Ok(Grant {
        principal,
        first_use,
    })
}

/// A `pairingToken` stands while its request waits, or while its answer may still be asked for.
fn pairing_grant(
    connection: &Connection,
    pairings: &PairingRegistry,
    id: wallcast_core::ids::PairingId,
    claims: &Claims,
    now: Timestamp,
) -> Result<Grant, AuthError> {
    let stands = pairings.has_request(&id, now)
        || tokens::find_unused_by_pairing(connection, &id, now)?.is_some();
    if !stands {
        return Err(AuthError::Expired);
    }
    Ok(Grant {
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
