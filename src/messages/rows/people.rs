//! The SQL of when people were last online.

use rusqlite::{Connection, OptionalExtension as _, params};
use wallcast_core::clock::Timestamp;
use wallcast_core::ids::UserId;

/// When a person's last session ended.
pub(crate) fn last_seen(db: &Connection, user: &UserId) -> rusqlite::Result<Option<Timestamp>> {
    db.prepare_cached("SELECT last_seen_at FROM people WHERE user_id = ?1")?
        .query_row([user], |row| row.get(0))
        .optional()
}

pub(crate) fn set_last_seen(db: &Connection, user: &UserId, at: Timestamp) -> rusqlite::Result<()> {
    db.prepare_cached(
        "INSERT INTO people (user_id, last_seen_at) VALUES (?1, ?2)
         ON CONFLICT (user_id) DO UPDATE SET last_seen_at = ?2",
    )?
    .execute(params![user, at])?;
    Ok(())
}
