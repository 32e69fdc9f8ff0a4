//! Areas as Home Assistant has them (contract section 7). Name and entities are Home Assistant's;
//! whether an area is enabled, and who has it, is Wallcast's own and is never touched here.
//!
//! Nothing of it is audited: no admin acts.

use super::{Area, AreaName, Source, insert, keep, remove, rows};
use wallcast_core::entity_id::EntityId;
use wallcast_core::ids::AreaId;
use wallcast_core::store::WriteTx;

pub use rows::mirrored as all;

/// An area of Home Assistant's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mirrored {
    /// Home Assistant's own `area_id`.
    pub id: AreaId,
    /// Its name.
    pub name: AreaName,
    /// The entities in it, in an order that does not change by itself.
    pub entity_ids: Vec<EntityId>,
}

impl Mirrored {
    /// Whether the area is as it is in Home Assistant.
    pub fn is(&self, area: &Area) -> bool {
        self.id == area.id && self.name == area.name && self.entity_ids == area.entity_ids
    }
}

/// Makes an area be as Home Assistant has it, and tells what changed. False when a local area has
/// its id, which then stays as it is.
///
/// # Errors
/// SQLite's.
pub fn put(tx: &mut WriteTx<'_>, wanted: Mirrored) -> rusqlite::Result<bool> {
    let Some(before) = rows::find(tx.connection(), &wanted.id)? else {
        let mut area = Area {
            id: wanted.id,
            room_id: 0,
            name: wanted.name,
            entity_ids: wanted.entity_ids,
            is_enabled: true,
            source: Source::HomeAssistant,
            created_at: tx.now(),
            updated_at: tx.now(),
        };
        insert(tx, &mut area)?;
        return Ok(true);
    };
    if before.source != Source::HomeAssistant {
        return Ok(false);
    }
    let mut area = Area {
        name: wanted.name,
        entity_ids: wanted.entity_ids,
        ..before.clone()
    };
    keep(tx, &before, &mut area)?;
    Ok(true)
}

/// Forgets an area that Home Assistant has no more; every client that has it is told.
///
/// # Errors
/// SQLite's.
pub fn forget(tx: &mut WriteTx<'_>, id: &AreaId) -> rusqlite::Result<()> {
    match rows::find(tx.connection(), id)? {
        Some(area) if area.source == Source::HomeAssistant => remove(tx, area),
        _ => Ok(()),
    }
}
