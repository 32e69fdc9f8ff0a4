//! A token as the database holds it: its claims and its history, never the signed token.

use wallcast_core::auth::{Claims, Principal, Subject};
use wallcast_core::clock::Timestamp;
use wallcast_core::ids::{Jti, OrganizationId, PairingId, TenantId};

#[derive(Clone, Debug)]
pub struct Token {
    pub jti: Jti,
    /// The principal of the token; never a pairing.
    pub subject: Subject,
    /// The label that admins see.
    pub name: String,
    pub email: Option<String>,
    pub organization_id: Option<OrganizationId>,
    pub tenant_id: Option<TenantId>,
    pub issued_at: Timestamp,
    /// The claim `exp`.
    pub expires_at: Timestamp,
    /// Equals `expires_at` until a refresh replaces the token; from then on it is earlier.
    pub valid_until: Timestamp,
    pub revoked_at: Option<Timestamp>,
    /// As stored; [`super::FirstUseTimes`] may know it before the database does.
    pub first_used_at: Option<Timestamp>,
    /// The principal that had the token issued.
    pub created_by: String,
    /// Set if the token completed a pairing.
    pub pairing: Option<PairingAnswer>,
    /// The token that a refresh issued in its place.
    pub successor: Option<Jti>,
}

/// A token that is neither revoked nor expired, with the columns that every schema version has.
#[derive(Clone, Debug)]
pub struct ActiveToken {
    pub jti: Jti,
    pub role: String,
    pub subject: String,
    pub name: String,
    /// Already shortened if a refresh replaced the token.
    pub expires_at: Timestamp,
}

/// The pairing that a token completed. It is kept until the token's first use, so that a tablet that lost the answer
/// can ask again and get the same token.
#[derive(Clone, Debug)]
pub struct PairingAnswer {
    pub id: PairingId,
    /// Until when the tablet may ask again.
    pub until: Timestamp,
    /// SHA-256 of the code and the tablet's `claim`, if the tablet sent one.
    pub claim_hash: Option<[u8; 32]>,
}

/// The claims of a token to be issued.
#[derive(Clone, Debug)]
pub struct NewToken {
    pub subject: Subject,
    /// The label that admins see.
    pub name: String,
    pub ttl_seconds: i64,
    pub email: Option<String>,
    pub organization_id: Option<OrganizationId>,
    pub tenant_id: Option<TenantId>,
}

impl Token {
    /// Signing these claims yields the same token each time.
    pub fn claims(&self) -> Claims {
        Claims {
            sub: self.subject.id().to_owned(),
            username: self.subject.id().to_owned(),
            role: self.subject.role().as_str().to_owned(),
            jti: self.jti.to_string(),
            iat: self.issued_at.unix_seconds(),
            exp: self.expires_at.unix_seconds(),
            email: self.email.clone(),
            organization_id: self.organization_id.as_ref().map(ToString::to_string),
            tenant_id: self.tenant_id.as_ref().map(ToString::to_string),
        }
    }

    /// Whether the token completed a pairing that ends with the token's first use.
    pub fn has_open_pairing(&self, now: Timestamp) -> bool {
        let is_open = |answer: &PairingAnswer| answer.until > now;
        self.first_used_at.is_none() && self.pairing.as_ref().is_some_and(is_open)
    }

    pub(super) fn principal(&self) -> Principal {
        Principal {
            subject: self.subject.clone(),
            jti: Some(self.jti.clone()),
            expires_at: Some(self.expires_at),
            email: self.email.clone(),
            organization_id: self.organization_id.clone(),
            tenant_id: self.tenant_id.clone(),
        }
    }
}
