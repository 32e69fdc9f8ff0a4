//! Tokens and session ids: issuing, refreshing and revoking them (`docs/protocol.md#tokens`).
//!
//! A token is a signed JWT. The database holds its claims and its `jti`, not the token itself. A session id is a random
//! string bound to a token, for web pages, which should not hold a token where scripts can read it; the database holds
//! only its SHA-256. Refreshing a token issues a new one; the old one stays valid for a minute, so that requests under
//! way do not fail.

mod first_use;
mod rows;
mod token;

use wallcast_core::audit::{self, Actor};
use wallcast_core::auth::{Principal, Subject};
use wallcast_core::clock::Timestamp;
use wallcast_core::disconnect::{DisconnectReason, SessionFilter};
use wallcast_core::event::{EventType, NewEvent};
use wallcast_core::ids::Jti;
use wallcast_core::store::WriteTx;

pub use first_use::FirstUseTimes;
pub use rows::{
    active, find, find_by_claim, find_by_session, find_unused_by_pairing, first_issued_at,
    has_active, page,
};
pub use token::{ActiveToken, NewToken, PairingAnswer, Token};

/// The most session ids of one token; a further one deletes the oldest.
const MAX_SESSION_IDS: u32 = 16;
/// How long a refreshed token stays valid.
const OVERLAP_SECONDS: i64 = 60;

/// The SHA-256 that is stored in place of a session id or a claim.
pub fn hash_of(secret: &str) -> [u8; 32] {
    let digest = ring::digest::digest(&ring::digest::SHA256, secret.as_bytes());
    let mut hash = [0; 32];
    hash.copy_from_slice(digest.as_ref());
    hash
}

/// Stores a new token. `created_by` is the principal that had it issued.
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
        valid_until: expires_at,
        revoked_at: None,
        first_used_at: None,
        created_by: created_by.to_owned(),
        pairing,
        successor: None,
    };
    rows::insert(tx.connection(), &token)?;
    Ok(token)
}

/// Stores a token's first use. If the token completed a pairing, this ends the pairing: the sessions that the tablet
/// opened with its `pairingToken` are closed.
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

/// Revokes a token and ends its sessions; false if it does not exist or was revoked before.
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

/// Revokes every token of a subject. The caller must end the subject's sessions.
pub fn revoke_all(tx: &mut WriteTx<'_>, subject: &Subject) -> rusqlite::Result<()> {
    rows::revoke_all(tx.connection(), subject, tx.now())
}

/// The final event of a client's session when its token is revoked.
pub fn token_revoked(client_id: &str, reason: &str, now: Timestamp) -> NewEvent {
    let data = serde_json::json!({
        "clientId": client_id,
        "reason": reason,
        "message": "This tablet's access was revoked by an admin; pair it again",
        "timestamp": now,
    });
    NewEvent::new(EventType::TOKEN_REVOKED, &data, Vec::new())
}

/// The credential of a refresh request, which decides what moves to the new token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefreshedBy {
    /// With the token itself: the answer carries the new one. Session ids and open sessions stay with the old one.
    Token,
    /// With a session id: the answer carries no token. Session ids and open sessions move to the new one.
    SessionId,
}

/// Issues a token in place of `old`, which stays valid for a minute. A second refresh of the same token returns the
/// same new token. `None` if either was revoked or does not exist.
pub fn refresh(
    tx: &mut WriteTx<'_>,
    old: &Jti,
    ttl_seconds: i64,
    by: RefreshedBy,
) -> rusqlite::Result<Option<Token>> {
    let Some(token) = rows::find(tx.connection(), old)?.filter(|t| t.revoked_at.is_none()) else {
        return Ok(None);
    };
    let successor = match &token.successor {
        Some(jti) => rows::find(tx.connection(), jti)?,
        None => None,
    };
    let until = tx
        .now()
        .plus_seconds(OVERLAP_SECONDS)
        .min(token.valid_until);
    let fresh = match successor {
        Some(successor) if successor.revoked_at.is_some() => return Ok(None),
        Some(successor) => successor,
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
            rows::set_successor(tx.connection(), old, until, &fresh.jti)?;
            fresh
        }
    };
    let principal = match by {
        RefreshedBy::SessionId => {
            rows::rebind_sessions(tx.connection(), old, &fresh.jti)?;
            fresh.principal()
        }
        // Sessions of the old token end when it stops being valid.
        RefreshedBy::Token => Principal {
            jti: Some(old.clone()),
            expires_at: Some(until),
            ..fresh.principal()
        },
    };
    tx.replace_session_token(old.clone(), principal);
    Ok(Some(fresh))
}

/// Binds a session id, given by its hash, to a token.
pub fn open_session(tx: &mut WriteTx<'_>, hash: &[u8; 32], jti: &Jti) -> rusqlite::Result<()> {
    rows::insert_session(tx.connection(), hash, jti, tx.now(), MAX_SESSION_IDS)
}

pub fn close_session(tx: &mut WriteTx<'_>, hash: &[u8; 32]) -> rusqlite::Result<()> {
    rows::delete_session(tx.connection(), hash)
}

/// Deletes at most `at_most` tokens that expired or were revoked before `before`, with their session ids. Returns how
/// many.
pub fn delete_ended(
    tx: &mut WriteTx<'_>,
    before: Timestamp,
    at_most: usize,
) -> rusqlite::Result<usize> {
    rows::delete_ended(tx.connection(), before, at_most)
}
