//! Marks a database file as a snapshot. The first start of a marked file draws a new epoch, so that a restored server
//! never confuses old event ids with new ones (`docs/protocol.md#resync`).
//!
//! Only copies carry the mark, never the database in use. A plain copy has no mark; it gets one when it is opened in a
//! data folder that no server has used (see [`super::Store::open`]).

use rusqlite::{Connection, TransactionBehavior, params};
use serde::{Deserialize, Serialize};

use super::settings;
use crate::clock::Timestamp;
use crate::event::Epoch;

/// Key in a snapshot: when it was made.
const SNAPSHOT: &str = "snapshot";
/// Key in a restored database: the [`RestoreNotice`], until the admin has received it.
const RESTORED: &str = "restored";

/// The database was restored from a snapshot and the admin has not been notified yet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RestoreNotice {
    /// When the snapshot was made, in RFC 3339.
    pub made_at: String,
    /// The epoch of the database from which the snapshot was made.
    pub old_epoch: String,
    /// The epoch after the restore.
    pub new_epoch: String,
}

/// Marks a copy. A copy that has a mark keeps the time in it.
pub(super) fn write(copy: &Connection, now: Timestamp) -> rusqlite::Result<()> {
    copy.execute(
        "INSERT OR IGNORE INTO house (key, value) VALUES (?1, ?2)",
        params![SNAPSHOT, now.to_string().as_bytes()],
    )?;
    Ok(())
}

/// When the snapshot was made; `None` if the file has no mark.
pub(super) fn made_at(connection: &Connection) -> rusqlite::Result<Option<String>> {
    text(connection, SNAPSHOT)
}

/// If the file has a mark: draws a new epoch, stores the notice for the admin and removes the mark, all in one
/// transaction.
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
    let notice = crate::event::to_json(&restored);
    settings::set(&transaction, "epoch", restored.new_epoch.as_bytes())?;
    settings::set(&transaction, RESTORED, notice.as_bytes())?;
    settings::remove(&transaction, SNAPSHOT)?;
    transaction.commit()
}

/// The notice of a restore that the admin has not received yet.
///
/// # Errors
/// If the database fails.
pub fn restore_notice(connection: &Connection) -> rusqlite::Result<Option<RestoreNotice>> {
    let notice = text(connection, RESTORED)?;
    Ok(notice.and_then(|notice| serde_json::from_str(&notice).ok()))
}

/// Deletes the notice, because the admin has received it.
///
/// # Errors
/// If the database fails.
pub fn clear_restore_notice(connection: &Connection) -> rusqlite::Result<()> {
    settings::remove(connection, RESTORED)
}

fn text(connection: &Connection, key: &str) -> rusqlite::Result<Option<String>> {
    let bytes = settings::get(connection, key)?;
    Ok(bytes.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()))
}
