//! SQL of tokens and session ids.

use rusqlite::{Connection, OptionalExtension as _, Row, params};
use wallcast_core::auth::{Role, Subject};
use wallcast_core::clock::Timestamp;
use wallcast_core::ids::{Jti, PairingId};
use wallcast_core::store::row_limit;

use super::token::{ActiveToken, PairingAnswer, Token};

const COLUMNS: &str = "jti, role, subject, name, email, organization_id, tenant_id, issued_at, \
    expires_at, stands_until, revoked_at, first_used_at, created_by, pairing_id, pairing_until, \
    claim_hash, successor";

fn read(row: &Row<'_>) -> rusqlite::Result<Token> {
    let role: String = row.get(1)?;
    let subject = match Role::parse(&role) {
        Some(Role::Client) => Subject::Client(row.get(2)?),
        Some(Role::User) => Subject::User(row.get(2)?),
        _ => Subject::Admin(row.get(2)?),
    };
    let pairing = match (row.get(13)?, row.get(14)?) {
        (Some(id), Some(until)) => Some(PairingAnswer {
            id,
            until,
            claim_hash: row.get(15)?,
        }),
        _ => None,
    };
    Ok(Token {
        jti: row.get(0)?,
        subject,
        name: row.get(3)?,
        email: row.get(4)?,
        organization_id: row.get(5)?,
        tenant_id: row.get(6)?,
        issued_at: row.get(7)?,
        expires_at: row.get(8)?,
        valid_until: row.get(9)?,
        revoked_at: row.get(10)?,
        first_used_at: row.get(11)?,
        created_by: row.get(12)?,
        pairing,
        successor: row.get(16)?,
    })
}

fn find_where(
    connection: &Connection,
    condition: &str,
    parameters: impl rusqlite::Params,
) -> rusqlite::Result<Option<Token>> {
    connection
        .prepare_cached(&format!("SELECT {COLUMNS} FROM tokens WHERE {condition}"))?
        .query_row(parameters, read)
        .optional()
}

/// The token may be revoked or expired.
pub fn find(connection: &Connection, jti: &Jti) -> rusqlite::Result<Option<Token>> {
    find_where(connection, "jti = ?1", [jti])
}

/// The token to which a session id is bound.
pub fn find_by_session(
    connection: &Connection,
    hash: &[u8; 32],
) -> rusqlite::Result<Option<Token>> {
    find_where(
        connection,
        "jti = (SELECT jti FROM auth_sessions WHERE id_hash = ?1)",
        [hash],
    )
}

/// The token that completed a pairing, while the tablet may still ask for it again.
pub fn find_unused_by_pairing(
    connection: &Connection,
    pairing: &PairingId,
    now: Timestamp,
) -> rusqlite::Result<Option<Token>> {
    find_where(
        connection,
        "pairing_id = ?1 AND pairing_until > ?2 AND first_used_at IS NULL AND revoked_at IS NULL",
        params![pairing, now],
    )
}

/// The token that completed the pairing with this code and claim, while the tablet may still ask for it again.
pub fn find_by_claim(
    connection: &Connection,
    claim_hash: &[u8; 32],
    now: Timestamp,
) -> rusqlite::Result<Option<Token>> {
    find_where(
        connection,
        "claim_hash = ?1 AND pairing_until > ?2 AND first_used_at IS NULL AND revoked_at IS NULL",
        params![claim_hash, now],
    )
}

/// At most `limit` tokens from newest to oldest, starting after the one with the issue time and `jti` of `after`.
pub fn page(
    connection: &Connection,
    after: Option<&(i64, String)>,
    limit: usize,
) -> rusqlite::Result<Vec<Token>> {
    let (at, jti) = after.cloned().unwrap_or((i64::MAX, String::new()));
    connection
        .prepare_cached(&format!(
            "SELECT {COLUMNS} FROM tokens WHERE (issued_at, jti) < (?1, ?2)
             ORDER BY issued_at DESC, jti DESC LIMIT ?3"
        ))?
        .query_map(params![at, jti, row_limit(limit)], read)?
        .collect()
}

/// Every active token from newest to oldest. The query works with every schema version, because it also reads a
/// restored backup before the first start has migrated it.
pub fn active(connection: &Connection, now: Timestamp) -> rusqlite::Result<Vec<ActiveToken>> {
    connection
        .prepare(
            "SELECT jti, role, subject, name, min(expires_at, stands_until) FROM tokens
             WHERE revoked_at IS NULL AND min(expires_at, stands_until) > ?1
             ORDER BY issued_at DESC, jti DESC",
        )?
        .query_map([now], |row| {
            Ok(ActiveToken {
                jti: row.get(0)?,
                role: row.get(1)?,
                subject: row.get(2)?,
                name: row.get(3)?,
                expires_at: row.get(4)?,
            })
        })?
        .collect()
}

/// Whether a principal has a token that is neither revoked nor expired.
pub fn has_active(
    connection: &Connection,
    subject: &Subject,
    now: Timestamp,
) -> rusqlite::Result<bool> {
    connection
        .prepare_cached(
            "SELECT EXISTS (SELECT 1 FROM tokens WHERE role = ?1 AND subject = ?2
             AND revoked_at IS NULL AND min(expires_at, stands_until) > ?3)",
        )?
        .query_row(params![subject.role().as_str(), subject.id(), now], |row| {
            row.get(0)
        })
}

/// The issue time of the oldest token of a principal that is still in the database.
pub fn first_issued_at(
    connection: &Connection,
    subject: &Subject,
) -> rusqlite::Result<Option<Timestamp>> {
    connection
        .prepare_cached("SELECT min(issued_at) FROM tokens WHERE role = ?1 AND subject = ?2")?
        .query_row(params![subject.role().as_str(), subject.id()], |row| {
            row.get(0)
        })
}

pub(super) fn insert(connection: &Connection, token: &Token) -> rusqlite::Result<()> {
    let pairing = token.pairing.as_ref();
    connection
        .prepare_cached(&format!(
            "INSERT INTO tokens ({COLUMNS})
             VALUES (?1,?2,?3,?4,?5,?6,?7,?8,?9,?10,?11,?12,?13,?14,?15,?16,?17)"
        ))?
        .execute(params![
            token.jti,
            token.subject.role().as_str(),
            token.subject.id(),
            token.name,
            token.email,
            token.organization_id,
            token.tenant_id,
            token.issued_at,
            token.expires_at,
            token.valid_until,
            token.revoked_at,
            token.first_used_at,
            token.created_by,
            pairing.map(|answer| &answer.id),
            pairing.map(|answer| answer.until),
            pairing.and_then(|answer| answer.claim_hash),
            token.successor,
        ])?;
    Ok(())
}

pub(super) fn mark_first_use(
    connection: &Connection,
    jti: &Jti,
    now: Timestamp,
) -> rusqlite::Result<bool> {
    connection
        .prepare_cached(
            "UPDATE tokens SET first_used_at = ?2 WHERE jti = ?1 AND first_used_at IS NULL",
        )?
        .execute(params![jti, now])
        .map(|changed| changed > 0)
}

pub(super) fn revoke(connection: &Connection, jti: &Jti, now: Timestamp) -> rusqlite::Result<()> {
    connection
        .prepare_cached("UPDATE tokens SET revoked_at = ?2 WHERE jti = ?1 AND revoked_at IS NULL")?
        .execute(params![jti, now])?;
    Ok(())
}

pub(super) fn revoke_all(
    connection: &Connection,
    subject: &Subject,
    now: Timestamp,
) -> rusqlite::Result<()> {
    connection
        .prepare_cached(
            "UPDATE tokens SET revoked_at = ?3
             WHERE role = ?1 AND subject = ?2 AND revoked_at IS NULL",
        )?
        .execute(params![subject.role().as_str(), subject.id(), now])?;
    Ok(())
}

/// Shortens the validity of a refreshed token and links the token that replaces it.
pub(super) fn set_successor(
    connection: &Connection,
    jti: &Jti,
    until: Timestamp,
    successor: &Jti,
) -> rusqlite::Result<()> {
    connection
        .prepare_cached("UPDATE tokens SET stands_until = ?2, successor = ?3 WHERE jti = ?1")?
        .execute(params![jti, until, successor])?;
    Ok(())
}

/// Binds a session id to a token and deletes the oldest ones beyond `keep`.
pub(super) fn insert_session(
    connection: &Connection,
    hash: &[u8; 32],
    jti: &Jti,
    now: Timestamp,
    keep: u32,
) -> rusqlite::Result<()> {
    connection
        .prepare_cached("INSERT INTO auth_sessions (id_hash, jti, created_at) VALUES (?1, ?2, ?3)")?
        .execute(params![hash, jti, now])?;
    connection
        .prepare_cached(
            "DELETE FROM auth_sessions WHERE jti = ?1 AND id_hash NOT IN
               (SELECT id_hash FROM auth_sessions WHERE jti = ?1
                ORDER BY created_at DESC, id_hash = ?3 DESC LIMIT ?2)",
        )?
        .execute(params![jti, keep, hash])?;
    Ok(())
}

/// Binds every session id of one token to another.
pub(super) fn rebind_sessions(
    connection: &Connection,
    old: &Jti,
    new: &Jti,
) -> rusqlite::Result<()> {
    connection
        .prepare_cached("UPDATE auth_sessions SET jti = ?2 WHERE jti = ?1")?
        .execute(params![old, new])?;
    Ok(())
}

pub(super) fn delete_session(connection: &Connection, hash: &[u8; 32]) -> rusqlite::Result<()> {
    connection
        .prepare_cached("DELETE FROM auth_sessions WHERE id_hash = ?1")?
        .execute([hash])?;
    Ok(())
}

/// The session ids are deleted by the foreign key.
pub(super) fn delete_ended(
    connection: &Connection,
    before: Timestamp,
    at_most: usize,
) -> rusqlite::Result<usize> {
    connection
        .prepare_cached(
            "DELETE FROM tokens WHERE jti IN
               (SELECT jti FROM tokens
                WHERE min(stands_until, coalesce(revoked_at, stands_until)) < ?1 LIMIT ?2)",
        )?
        .execute(params![before, row_limit(at_most)])
}
