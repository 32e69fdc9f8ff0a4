//! SQL of help requests.

use rusqlite::{Connection, OptionalExtension as _, Row, params};
use wallcast_core::clock::Timestamp;
use wallcast_core::ids::ClientId;
use wallcast_core::store::row_limit;

use super::help_request::{HelpFields, HelpRequest, PhotoUrl};

const COLUMNS: &str = "id, client_id, kiosk_id, locker_no, category, note, photo_url, status, \
    created_at, updated_at";

fn read(row: &Row<'_>) -> rusqlite::Result<HelpRequest> {
    Ok(HelpRequest {
        id: row.get(0)?,
        client_id: row.get(1)?,
        kiosk_id: row.get(2)?,
        fields: HelpFields {
            locker_no: row.get(3)?,
            category: row.get(4)?,
            note: row.get(5)?,
            photo_url: row.get::<_, Option<_>>(6)?.map(PhotoUrl::from_stored),
        },
        status: row.get(7)?,
        created_at: row.get(8)?,
        updated_at: row.get(9)?,
    })
}

pub fn find(connection: &Connection, id: i64) -> rusqlite::Result<Option<HelpRequest>> {
    connection
        .prepare_cached(&format!(
            "SELECT {COLUMNS} FROM help_requests WHERE id = ?1"
        ))?
        .query_row([id], read)
        .optional()
}

/// At most `limit` requests with an id below `before`, newest first; with `client`, only its own.
pub fn page(
    connection: &Connection,
    client: Option<&ClientId>,
    before: Option<i64>,
    limit: usize,
) -> rusqlite::Result<Vec<HelpRequest>> {
    let before = before.unwrap_or(i64::MAX);
    let limit = row_limit(limit);
    match client {
        None => connection
            .prepare_cached(&format!(
                "SELECT {COLUMNS} FROM help_requests WHERE id < ?1 ORDER BY id DESC LIMIT ?2"
            ))?
            .query_map(params![before, limit], read)?
            .collect(),
        Some(client) => connection
            .prepare_cached(&format!(
                "SELECT {COLUMNS} FROM help_requests WHERE client_id = ?3 AND id < ?1
                 ORDER BY id DESC LIMIT ?2"
            ))?
            .query_map(params![before, limit, client], read)?
            .collect(),
    }
}

/// How many requests of a client are not resolved; stops counting at `at_most`.
pub(super) fn count_open(
    connection: &Connection,
    client: &ClientId,
    at_most: usize,
) -> rusqlite::Result<usize> {
    connection
        .prepare_cached(
            "SELECT count(*) FROM (SELECT 1 FROM help_requests
             WHERE client_id = ?1 AND status <> 'resolved' LIMIT ?2)",
        )?
        .query_row(params![client, row_limit(at_most)], |row| {
            row.get::<_, i64>(0)
        })
        .map(|count| usize::try_from(count).unwrap_or_default())
}

pub(super) fn insert(connection: &Connection, help: &HelpRequest) -> rusqlite::Result<i64> {
    connection
        .prepare_cached(
            "INSERT INTO help_requests (client_id, kiosk_id, locker_no, category, note, photo_url,
                                        status, created_at, updated_at)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
        )?
        .execute(params![
            help.client_id,
            help.kiosk_id,
            help.fields.locker_no,
            help.fields.category,
            help.fields.note,
            help.fields.photo_url.as_ref().map(PhotoUrl::as_str),
            help.status,
            help.created_at,
            help.updated_at,
        ])?;
    Ok(connection.last_insert_rowid())
}

pub(super) fn set_status(connection: &Connection, help: &HelpRequest) -> rusqlite::Result<()> {
    connection
        .prepare_cached("UPDATE help_requests SET status = ?2, updated_at = ?3 WHERE id = ?1")?
        .execute(params![help.id, help.status, help.updated_at])?;
    Ok(())
}

/// Deletes resolved requests of a client that are older than its newest `keep`.
pub(super) fn delete_beyond(
    connection: &Connection,
    client: &ClientId,
    keep: usize,
) -> rusqlite::Result<()> {
    connection
        .prepare_cached(
            "DELETE FROM help_requests WHERE client_id = ?1 AND status = 'resolved' AND id <=
               (SELECT id FROM help_requests WHERE client_id = ?1
                ORDER BY id DESC LIMIT 1 OFFSET ?2)",
        )?
        .execute(params![client, row_limit(keep)])?;
    Ok(())
}

pub(super) fn delete_resolved(
    connection: &Connection,
    before: Timestamp,
    at_most: usize,
) -> rusqlite::Result<usize> {
    connection
        .prepare_cached(
            "DELETE FROM help_requests WHERE id IN
               (SELECT id FROM help_requests WHERE status = 'resolved' AND updated_at < ?1 LIMIT ?2)",
        )?
        .execute(params![before, row_limit(at_most)])
}
