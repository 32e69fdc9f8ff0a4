//! Writes the areas that mirror those of Home Assistant (`docs/protocol.md#home-assistant`).
//!
//! Name and entities follow Home Assistant. Whether an area is enabled and which clients have it is decided in
//! Wallcast and never changes here. Nothing is audited, because no admin acts.

use wallcast_core::entity_id::EntityId;
use wallcast_core::ids::AreaId;
use wallcast_core::store::WriteTx;

use super::area::{Area, AreaName, AreaSource};
use super::{insert, remove, rows, save_changes};

pub use rows::mirrored as all;

/// An area as it is in Home Assistant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MirroredArea {
    /// Home Assistant's own `area_id`.
    pub id: AreaId,
    pub name: AreaName,
    /// In a stable order: a different order counts as a change.
    pub entity_ids: Vec<EntityId>,
}

impl MirroredArea {
    /// Whether the stored area needs no update.
    pub fn matches(&self, area: &Area) -> bool {
        self.id == area.id && self.name == area.name && self.entity_ids == area.entity_ids
    }
}

/// Creates or updates the area and publishes what changed. False, and nothing is written, if a local area has
/// the same id.
pub fn put(tx: &mut WriteTx<'_>, wanted: MirroredArea) -> rusqlite::Result<bool> {
    let Some(before) = rows::find(tx.connection(), &wanted.id)? else {
        let mut area = Area {
            id: wanted.id,
            room_id: 0,
            name: wanted.name,
            entity_ids: wanted.entity_ids,
            is_enabled: true,
            source: AreaSource::HomeAssistant,
            created_at: tx.now(),
            updated_at: tx.now(),
        };
        insert(tx, &mut area)?;
        return Ok(true);
    };
    if before.source != AreaSource::HomeAssistant {
        return Ok(false);
    }
    let mut area = Area {
        name: wanted.name,
        entity_ids: wanted.entity_ids,
        ..before.clone()
    };
    save_changes(tx, &before, &mut area)?;
    Ok(true)
}

/// Deletes an area that Home Assistant no longer has and notifies its clients. Local areas are left alone.
pub fn delete(tx: &mut WriteTx<'_>, id: &AreaId) -> rusqlite::Result<()> {
    match rows::find(tx.connection(), id)? {
        Some(area) if area.source == AreaSource::HomeAssistant => remove(tx, area),
        _ => Ok(()),
    }
}
