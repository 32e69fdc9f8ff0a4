//! An area as JSON, in responses, events and snapshots.

use rusqlite::Connection;
use serde::Serialize;
use wallcast_core::auth::Principal;
use wallcast_core::clock::Timestamp;
use wallcast_core::entity_id::EntityId;
use wallcast_core::ids::{AreaId, ClientId};

use super::area::{Area, AreaName};
use super::rows;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AreaJson {
    id: AreaId,
    room_id: i64,
    name: AreaName,
    entity_ids: Vec<EntityId>,
    is_enabled: bool,
    source: &'static str,
    /// Only admins get it.
    #[serde(skip_serializing_if = "Option::is_none")]
    client_ids: Option<Vec<ClientId>>,
    created_at: Timestamp,
    updated_at: Timestamp,
}

impl AreaJson {
    /// Without `clientIds`.
    pub fn for_client(area: Area) -> Self {
        Self {
            id: area.id,
            room_id: area.room_id,
            name: area.name,
            entity_ids: area.entity_ids,
            is_enabled: area.is_enabled,
            source: area.source.as_str(),
            client_ids: None,
            created_at: area.created_at,
            updated_at: area.updated_at,
        }
    }

    /// With `clientIds`.
    pub fn for_admin(connection: &Connection, area: Area) -> rusqlite::Result<Self> {
        let client_ids = Some(rows::clients_of(connection, &area.id)?);
        Ok(Self {
            client_ids,
            ..Self::for_client(area)
        })
    }

    /// With `clientIds` if the caller is an admin.
    pub fn shown_to(
        connection: &Connection,
        principal: &Principal,
        area: Area,
    ) -> rusqlite::Result<Self> {
        match principal.is_admin() {
            true => Self::for_admin(connection, area),
            false => Ok(Self::for_client(area)),
        }
    }

    /// The cursor of a list of areas.
    pub(crate) fn room_id(&self) -> i64 {
        self.room_id
    }
}
