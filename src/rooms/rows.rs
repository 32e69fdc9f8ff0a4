//! SQL that decides which rooms a client may join. It reads the tables of areas and clients directly, so that those
//! features can call rooms without a circular import.

use rusqlite::{Connection, OptionalExtension as _, params};
use wallcast_core::ids::{AreaId, ClientId, RoomName};

/// The area with this integer id.
pub fn area_by_number(connection: &Connection, number: i64) -> rusqlite::Result<Option<AreaId>> {
    connection
        .prepare_cached("SELECT id FROM areas WHERE room_id = ?1")?
        .query_row([number], |row| row.get(0))
        .optional()
}

/// Whether the room is named after an area of the client or after its kiosk. A client without a kiosk is its own.
pub(super) fn is_room_of_client(
    connection: &Connection,
    room: &RoomName,
    client: &ClientId,
) -> rusqlite::Result<bool> {
    connection
        .prepare_cached(
            "SELECT EXISTS (SELECT 1 FROM client_areas WHERE client_id = ?1 AND area_id = ?2)
                 OR EXISTS (SELECT 1 FROM clients
                            WHERE id = ?1 AND coalesce(kiosk_id, id) = ?2)",
        )?
        .query_row(params![client, room.as_str()], |row| row.get(0))
}
