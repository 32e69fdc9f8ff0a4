//! The server's own values in the database: signing key, local CA, leaf certificate, epoch. They are in the database so
//! that one file contains all state.

use rusqlite::{Connection, OptionalExtension as _, params};

/// Reads the value of a key.
///
/// # Errors
/// If the database fails.
pub fn get(connection: &Connection, key: &str) -> rusqlite::Result<Option<Vec<u8>>> {
    connection
        .prepare_cached("SELECT value FROM house WHERE key = ?1")?
        .query_row([key], |row| row.get(0))
        .optional()
}

/// Writes the value of a key.
///
/// # Errors
/// If the database fails.
pub fn set(connection: &Connection, key: &str, value: &[u8]) -> rusqlite::Result<()> {
    connection
        .prepare_cached("INSERT OR REPLACE INTO house (key, value) VALUES (?1, ?2)")?
        .execute(params![key, value])?;
    Ok(())
}

/// Deletes a key.
///
/// # Errors
/// If the database fails.
pub fn remove(connection: &Connection, key: &str) -> rusqlite::Result<()> {
    connection
        .prepare_cached("DELETE FROM house WHERE key = ?1")?
        .execute([key])?;
    Ok(())
}
