//! What the house itself keeps in the database, so that one file is the whole house: the signing
//! key, the local CA and the leaf certificate.

use rusqlite::{Connection, OptionalExtension as _, params};

/// Reads a value.
///
/// # Errors
/// SQLite's.
pub fn get(connection: &Connection, key: &str) -> rusqlite::Result<Option<Vec<u8>>> {
    connection
        .prepare_cached("SELECT value FROM house WHERE key = ?1")?
        .query_row([key], |row| row.get(0))
        .optional()
}

/// Writes a value.
///
/// # Errors
/// SQLite's.
pub fn set(connection: &Connection, key: &str, value: &[u8]) -> rusqlite::Result<()> {
    connection
        .prepare_cached("INSERT OR REPLACE INTO house (key, value) VALUES (?1, ?2)")?
        .execute(params![key, value])?;
    Ok(())
}

/// Removes a value.
///
/// # Errors
/// SQLite's.
pub fn remove(connection: &Connection, key: &str) -> rusqlite::Result<()> {
    connection
        .prepare_cached("DELETE FROM house WHERE key = ?1")?
        .execute([key])?;
    Ok(())
}
