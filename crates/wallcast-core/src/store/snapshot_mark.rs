//! The mark that makes a database file a snapshot, and what its first start makes of it: another
//! epoch, so that a restored house never takes old event ids for new ones (contract 4.4).
//!
//! The mark stands in copies alone, never in the house that is copied. A house that was copied as it
//! lay, without one, gets it when it is opened where it has not lived (`DataFolder::settle`).

use rusqlite::{Connection, TransactionBehavior, params};
use serde::{Deserialize, Serialize};

use super::settings;
use crate::clock::Timestamp;
use crate::event::Epoch;

/// In a snapshot: when it was made.
const SNAPSHOT: &str = "snapshot";
/// In a house that came out of a snapshot, until its admin was told.
const RESTORED: &str = "restored";

/// A house came out of a snapshot, and nobody was told yet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RestoreNotice {
    /// When the snapshot was made, RFC 3339.
    pub made_at: String,
    /// The epoch of the house that the snapshot was made of.
    pub old_epoch: String,
    /// The epoch drawn in its place.
    pub new_epoch: String,
}

/// Marks a copy; one that is marked already keeps the time of its mark.
pub(super) fn write(copy: &Connection, now: Timestamp) -> rusqlite::Result<()> {
    copy.execute(
        "INSERT OR IGNORE INTO house (key, value) VALUES (?1, ?2)",
        params![SNAPSHOT, now.to_string().as_bytes()],
    )?;
    Ok(())
}

/// When the snapshot was made; none for a house.
pub(super) fn made_at(connection: &Connection) -> rusqlite::Result<Option<String>> {
    text(connection, SNAPSHOT)
}

/// Makes a house of a snapshot: draws the new epoch, notes that the admin is to be told, and
/// removes the mark, all in one transaction. Does nothing to a house.
pub(super) fn start_new_epoch(connection: &mut Connection) -> rusqlite::Result<()> {
    let Some(made_at) = made_at(connection)? else {
        return Ok(());
    };
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let restored = RestoreNotice {
        made_at,
        old_epoch: text(&transaction, "epoch")?.unwrap_or_default(),
        new_epoch: Epoch::random().as_str().to_owned(),
    };
    let note = crate::event::to_json(&restored);
    settings::set(&transaction, "epoch", restored.new_epoch.as_bytes())?;
    settings::set(&transaction, RESTORED, note.as_bytes())?;
    settings::remove(&transaction, SNAPSHOT)?;
    transaction.commit()
}

/// The restore that the admin is still to be told of.
///
/// # Errors
/// SQLite's.
pub fn restore_notice(connection: &Connection) -> rusqlite::Result<Option<RestoreNotice>> {
    let note = text(connection, RESTORED)?;
    Ok(note.and_then(|note| serde_json::from_str(&note).ok()))
}

/// The admin was told of the restore.
///
/// # Errors
/// SQLite's.
pub fn clear_restore_notice(connection: &Connection) -> rusqlite::Result<()> {
    settings::remove(connection, RESTORED)
}

fn text(connection: &Connection, key: &str) -> rusqlite::Result<Option<String>> {
    let bytes = settings::get(connection, key)?;
    Ok(bytes.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()))
}
