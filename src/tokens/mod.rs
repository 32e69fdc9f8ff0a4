//! Tokens and session ids: issuing, refreshing, revoking. The store knows a token's claims and
//! `jti`, never the token; a session id it knows as SHA-256.

mod first_uses;
mod rows;

use wallcast_core::audit::{self, Actor};
use wallcast_core::auth::{Claims, Principal, Subject};
use wallcast_core::clock::Timestamp;
use wallcast_core::disconnect::{DisconnectReason, SessionFilter};
use wallcast_core::event::{EventType, NewEvent};
use wallcast_core::ids::{Jti, OrganizationId, PairingId, TenantId};
use wallcast_core::store::WriteTx;

pub use first_uses::FirstUses;
pub use rows::{
    find, find_by_claim, find_by_session, find_unused_by_pairing, has_standing, known_since, page,
    standing,
};

/// Session ids of one token at most; a further one ends the oldest.
const SESSION_IDS: u32 = 16;
/// How long a refreshed token's predecessor still stands (contract 6.2).
const OVERLAP_SECONDS: i64 = 60;

/// A token as the store knows it.
#[derive(Clone, Debug)]
pub struct Token {
    /// Its identity.
    pub jti: Jti,
    /// Whose it is; never a pairing's.
    pub subject: Subject,
    /// What the admin calls it.
    pub name: String,
    /// Claim `email`.
    pub email: Option<String>,
    /// Claim `organizationId`.
    pub organization_id: Option<OrganizationId>,
    /// Claim `tenantId`.
    pub tenant_id: Option<TenantId>,
    /// Claim `iat`.
    pub issued_at: Timestamp,
    /// Claim `exp`.
    pub expires_at: Timestamp,
    /// Earlier than `expires_at` once it was refreshed.
    pub stands_until: Timestamp,
    /// When an admin revoked it.
    pub revoked_at: Option<Timestamp>,
    /// When it was first used, which ends the pairing that it answers.
    pub first_used_at: Option<Timestamp>,
    /// Who had it made.
    pub created_by: String,
    /// The pairing that it answers.
    pub pairing: Option<PairingAnswer>,
    /// What a refresh gave in its place.
    pub successor: Option<Jti>,
}

/// A token that opens the house now, in what every schema knows of it.
#[derive(Clone, Debug)]
pub struct Standing {
    /// Its identity.
    pub jti: Jti,
    /// Claim `role`.
    pub role: String,
    /// Whose it is.
    pub subject: String,
    /// What the admin calls it.
    pub name: String,
    /// Until when it stands.
    pub expires_at: Timestamp,
}

/// The pairing that a token answers, kept so that a lost answer can be given again.
#[derive(Clone, Debug)]
pub struct PairingAnswer {
    /// Which pairing.
    pub id: PairingId,
    /// Until when the answer may be asked for again.
    pub until: Timestamp,
    /// SHA-256 of the code and the tablet's own `claim`, when it brought one.
    pub claim_hash: Option<[u8; 32]>,
}

/// What a new token is to say.
#[derive(Clone, Debug)]
pub struct NewToken {
    /// Whose it is.
    pub subject: Subject,
    /// What the admin calls it.
    pub name: String,
    /// Its life in seconds.
    pub ttl_seconds: i64,
    /// Claim `email`.
    pub email: Option<String>,
    /// Claim `organizationId`.
    pub organization_id: Option<OrganizationId>,
    /// Claim `tenantId`.
    pub tenant_id: Option<TenantId>,
}

impl Token {
    /// The claims; signing them makes the same token each time.
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

    /// Whether a pairing's answer may still be asked for that is this token.
    pub fn is_asked_for(&self, now: Timestamp) -> bool {
        let is_open = |answer: &PairingAnswer| answer.until > now;
        self.first_used_at.is_none() && self.pairing.as_ref().is_some_and(is_open)
    }

    /// Who comes with this token.
    fn principal(&self) -> Principal {
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

/// SHA-256 of a session id or a claim: what is stored in its place.
pub fn hash_of(secret: &str) -> [u8; 32] {
    let digest = ring::digest::digest(&ring::digest::SHA256, secret.as_bytes());
    let mut hash = [0; 32];
    hash.copy_from_slice(digest.as_ref());
    hash
}

/// Records a new token.
///
/// # Errors
/// SQLite's.
pub fn issue(
    tx: &mut WriteTx<'_>,
    new: NewToken,
    created_by: &str,
    pairing: Option<PairingAnswer>,
) -> rusqlite::Result<Token> {
    let issued_at = tx.now().whole_seconds();
    let expires_at = issued_at.plus_seconds(new.ttl_seconds);
    let token = Token {
        jti: Jti::random(),
        subject: new.subject,
        name: new.name,
        email: new.email,
        organization_id: new.organization_id,
        tenant_id: new.tenant_id,
        issued_at,
        expires_at,
        stands_until: expires_at,
        revoked_at: None,
        first_used_at: None,
        created_by: created_by.to_owned(),
        pairing,
        successor: None,
    };
    rows::insert(tx.connection(), &token)?;
    Ok(token)
}

/// Remembers a token's first use, which ends the `pairingToken` behind it (contract 6.2).
///
/// # Errors
/// SQLite's.
pub fn mark_first_use(tx: &mut WriteTx<'_>, jti: &Jti) -> rusqlite::Result<()> {
    if !rows::mark_first_use(tx.connection(), jti, tx.now())? {
        return Ok(());
    }
    if let Some(answer) = rows::find(tx.connection(), jti)?.and_then(|token| token.pairing) {
        let filter = SessionFilter::Subject(Subject::Pairing(answer.id));
        tx.end_sessions(filter, DisconnectReason::Unauthenticated, None);
    }
    Ok(())
}

/// Revokes one token; its sessions end. False when there is none that stands.
///
/// # Errors
/// SQLite's.
pub fn revoke(tx: &mut WriteTx<'_>, jti: &Jti, actor: &Actor) -> rusqlite::Result<bool> {
    let Some(token) = rows::find(tx.connection(), jti)?.filter(|t| t.revoked_at.is_none()) else {
        return Ok(false);
    };
    rows::revoke(tx.connection(), jti, tx.now())?;
    let final_event = match &token.subject {
        Subject::Client(id) => Some(token_revoked(id.as_str(), "token revoked", tx.now())),
        _ => None,
    };
    let filter = SessionFilter::Token(token.subject.clone(), jti.clone());
    tx.end_sessions(filter, DisconnectReason::Revoked, final_event);
    audit::record(
        tx,
        actor,
        "token.revoke",
        Some(jti.as_str()),
        &token.subject.to_string(),
    )?;
    Ok(true)
}

/// Revokes every token of a subject, without ending its sessions; the caller says how those end.
///
/// # Errors
/// SQLite's.
pub fn revoke_all(tx: &mut WriteTx<'_>, subject: &Subject) -> rusqlite::Result<()> {
    rows::revoke_all(tx.connection(), subject, tx.now())
}

/// A client's last words when its token is revoked (contract section 5).
pub fn token_revoked(client_id: &str, reason: &str, now: Timestamp) -> NewEvent {
    let data = serde_json::json!({
        "clientId": client_id,
        "reason": reason,
        "message": "This tablet's access was revoked by an admin; pair it again",
        "timestamp": now,
    });
    NewEvent::new(EventType::TOKEN_REVOKED, &data, Vec::new())
}

/// How a refresh was asked for, which decides what moves to the new token (contract 6.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefreshedBy {
    /// With the token itself: the answer holds the new one.
    Token,
    /// With a session id: session ids and open sockets move, no token is told.
    SessionId,
}

/// Makes a client a new token; the old one stands a minute more, and asked again gives the same
/// new one. None when the old one is gone.
///
/// # Errors
/// SQLite's.
pub fn refresh(
    tx: &mut WriteTx<'_>,
    old: &Jti,
    ttl_seconds: i64,
    by: RefreshedBy,
) -> rusqlite::Result<Option<Token>> {
    let Some(token) = rows::find(tx.connection(), old)?.filter(|t| t.revoked_at.is_none()) else {
        return Ok(None);
    };
    let given = match &token.successor {
        Some(jti) => rows::find(tx.connection(), jti)?,
        None => None,
    };
    let until = tx
        .now()
        .plus_seconds(OVERLAP_SECONDS)
        .min(token.stands_until);
    let fresh = match given {
        Some(given) if given.revoked_at.is_some() => return Ok(None),
        Some(given) => given,
        None => {
            let created_by = token.subject.to_string();
            let new = NewToken {
                subject: token.subject,
                name: token.name,
                ttl_seconds,
                email: token.email,
                organization_id: token.organization_id,
                tenant_id: token.tenant_id,
            };
            let fresh = issue(tx, new, &created_by, None)?;
            rows::supersede(tx.connection(), old, until, &fresh.jti)?;
            fresh
        }
    };
    let principal = match by {
        RefreshedBy::SessionId => {
            rows::move_sessions(tx.connection(), old, &fresh.jti)?;
            fresh.principal()
        }
        // Sockets of the old token stand as long as it does.
        RefreshedBy::Token => Principal {
            jti: Some(old.clone()),
            expires_at: Some(until),
            ..fresh.principal()
        },
    };
    tx.retoken_sessions(old.clone(), principal);
    Ok(Some(fresh))
}

/// Binds a session id, known by its hash, to a token.
///
/// # Errors
/// SQLite's.
pub fn open_session(tx: &mut WriteTx<'_>, hash: &[u8; 32], jti: &Jti) -> rusqlite::Result<()> {
    rows::insert_session(tx.connection(), hash, jti, tx.now(), SESSION_IDS)
}

/// Ends a session id.
///
/// # Errors
/// SQLite's.
pub fn close_session(tx: &mut WriteTx<'_>, hash: &[u8; 32]) -> rusqlite::Result<()> {
    rows::delete_session(tx.connection(), hash)
}

/// Forgets at most `at_most` tokens that expired or were revoked before then, with their session
/// ids, and says how many.
///
/// # Errors
/// SQLite's.
pub fn forget_ended(
    tx: &mut WriteTx<'_>,
    before: Timestamp,
    at_most: usize,
) -> rusqlite::Result<usize> {
    rows::forget_ended(tx.connection(), before, at_most)
}
