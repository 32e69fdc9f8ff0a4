//! Areas: what a client shows. Each has a name, a list of entities and a switch that enables it.
//!
//! Admins create local areas; areas of Home Assistant are mirrored, and only Home Assistant renames, fills and
//! deletes those. Admins enable, disable and assign both kinds. A client receives events about the areas that
//! are assigned to it.

mod area;
mod events;
pub mod mirror;
mod rows;
pub(crate) mod wire;

use crate::rooms;

pub use area::{Area, AreaName, AreaSource, InvalidName, MAX_ENTITIES, checked_name, deduplicate};
pub use events::{AreaEvent, AreaRemoval};
pub use rows::{find, is_assigned, of_client, page};
pub use wire::AreaJson;

use events::{RoomUpdateAction, room_updated};
use wallcast_core::audit::{self, Actor};
use wallcast_core::auth::Subject;
use wallcast_core::entity_id::EntityId;
use wallcast_core::event::{Namespace, Topic};
use wallcast_core::history;
use wallcast_core::ids::{AreaId, ClientId};
use wallcast_core::store::{StoreError, WriteTx};

/// Fields to change; `None` keeps the old value.
#[derive(Clone, Debug, Default)]
pub struct AreaPatch {
    pub name: Option<AreaName>,
    /// At most [`MAX_ENTITIES`], without duplicates.
    pub entity_ids: Option<Vec<EntityId>>,
    pub enabled: Option<EnabledChange>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EnabledChange {
    Set(bool),
    Toggle,
}

#[derive(Debug, thiserror::Error)]
pub enum AreaError {
    #[error("There is no such area")]
    Unknown,
    /// The change belongs to Home Assistant, which owns the area's name, entities and existence.
    #[error(
        "This area comes from Home Assistant: rename, fill or delete it there; here you can enable, \
         disable and assign it"
    )]
    Mirrored,
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<rusqlite::Error> for AreaError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Store(error.into())
    }
}

/// Creates a local area and publishes `room_updated` to admins.
pub fn create(
    tx: &mut WriteTx<'_>,
    name: AreaName,
    entity_ids: Vec<EntityId>,
    is_enabled: bool,
    actor: &Actor,
) -> rusqlite::Result<Area> {
    let mut area = Area {
        id: AreaId::random(),
        room_id: 0,
        name,
        entity_ids,
        is_enabled,
        source: AreaSource::Local,
        created_at: tx.now(),
        updated_at: tx.now(),
    };
    insert(tx, &mut area)?;
    audit::record(
        tx,
        actor,
        "area.create",
        Some(area.id.as_str()),
        area.name.as_str(),
    )?;
    Ok(area)
}

fn insert(tx: &mut WriteTx<'_>, area: &mut Area) -> rusqlite::Result<()> {
    area.room_id = rows::insert(tx.connection(), area)?;
    update_entity_visibility(tx, area);
    publish_room_updated(tx, area, RoomUpdateAction::Created)
}

/// Changes an area and notifies its clients and admins. A patch that changes nothing publishes nothing.
///
/// # Errors
/// [`AreaError::Mirrored`] if the patch changes name or entities of an area of Home Assistant.
pub fn change(
    tx: &mut WriteTx<'_>,
    id: &AreaId,
    patch: AreaPatch,
    actor: &Actor,
) -> Result<Area, AreaError> {
    let before = rows::find(tx.connection(), id)?.ok_or(AreaError::Unknown)?;
    let mut area = before.clone();
    if let Some(name) = patch.name {
        area.name = name;
    }
    if let Some(entity_ids) = patch.entity_ids {
        area.entity_ids = entity_ids;
    }
    area.is_enabled = match patch.enabled {
        Some(EnabledChange::Set(enabled)) => enabled,
        Some(EnabledChange::Toggle) => !before.is_enabled,
        None => before.is_enabled,
    };
    let has_new_content = area.name != before.name || area.entity_ids != before.entity_ids;
    if has_new_content && before.source == AreaSource::HomeAssistant {
        return Err(AreaError::Mirrored);
    }
    audit::record(
        tx,
        actor,
        "area.change",
        Some(id.as_str()),
        area.name.as_str(),
    )?;
    save_changes(tx, &before, &mut area)?;
    Ok(area)
}

/// Stores the difference between `before` and `area` and publishes the events for it.
fn save_changes(tx: &mut WriteTx<'_>, before: &Area, area: &mut Area) -> rusqlite::Result<()> {
    if area == before {
        return Ok(());
    }
    area.updated_at = tx.now();
    rows::update(tx.connection(), area)?;
    if area.entity_ids != before.entity_ids {
        rows::set_entities(tx.connection(), area)?;
    }
    if area.is_enabled != before.is_enabled || area.entity_ids != before.entity_ids {
        update_entity_visibility(tx, area);
    }
    if area.name != before.name || area.entity_ids != before.entity_ids {
        tx.publish(AreaEvent::Updated.build(area, tx.now()))?;
        publish_room_updated(tx, area, RoomUpdateAction::Updated)?;
    }
    if area.is_enabled != before.is_enabled {
        let event = if area.is_enabled {
            AreaEvent::Enabled
        } else {
            AreaEvent::Disabled
        };
        tx.publish(event.build(area, tx.now()))?;
    }
    Ok(())
}

/// Deletes an area and notifies its clients.
///
/// # Errors
/// [`AreaError::Mirrored`] if the area comes from Home Assistant and `mirrored` refuses to delete it.
pub fn delete(
    tx: &mut WriteTx<'_>,
    id: &AreaId,
    mirrored: DeleteMirrored,
    actor: &Actor,
) -> Result<(), AreaError> {
    let area = rows::find(tx.connection(), id)?.ok_or(AreaError::Unknown)?;
    if area.source == AreaSource::HomeAssistant && mirrored == DeleteMirrored::Refuse {
        return Err(AreaError::Mirrored);
    }
    let (id, name) = (area.id.clone(), area.name.clone());
    remove(tx, area)?;
    audit::record(tx, actor, "area.delete", Some(id.as_str()), name.as_str())?;
    Ok(())
}

/// Whether an admin may delete an area that comes from Home Assistant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeleteMirrored {
    /// Home Assistant is configured: the mirror would create the area again, or delete it by itself.
    Refuse,
    /// Home Assistant is no longer configured, so nothing else could delete the area.
    Allow,
}

fn remove(tx: &mut WriteTx<'_>, area: Area) -> rusqlite::Result<()> {
    tx.publish(AreaEvent::Removed(AreaRemoval::Deleted).build(&area, tx.now()))?;
    publish_room_updated(tx, &area, RoomUpdateAction::Deleted)?;
    let clients = rows::clients_of(tx.connection(), &area.id)?;
    for client in &clients {
        let subject = Subject::Client(client.clone());
        tx.leave(subject, Topic::Area(area.id.clone()));
    }
    rows::delete(tx.connection(), &area.id)?;
    tx.show_area(area.id.clone(), Vec::new());
    for client in clients {
        rooms::expel(tx, &Subject::Client(client), area.id.as_str())?;
    }
    Ok(())
}

/// Updates which entities the area's clients see. Every change to the entities or `is_enabled` must call this.
fn update_entity_visibility(tx: &mut WriteTx<'_>, area: &Area) {
    let entities = match area.is_enabled {
        true => area.entity_ids.clone(),
        false => Vec::new(),
    };
    tx.show_area(area.id.clone(), entities);
}

/// Publishes `room_updated`: for a new or deleted room to admins and the area's clients, for a changed room only to
/// sessions that joined it. Most areas' rooms are empty, so an update of one of those writes no event.
fn publish_room_updated(
    tx: &mut WriteTx<'_>,
    area: &Area,
    action: RoomUpdateAction,
) -> rusqlite::Result<()> {
    let topics = match action {
        RoomUpdateAction::Updated => match Topic::room(Namespace::Main, area.id.as_str()) {
            Some(room) if history::has_members(tx.connection(), &room)? => vec![room],
            _ => return Ok(()),
        },
        RoomUpdateAction::Created | RoomUpdateAction::Deleted => {
            vec![Topic::Area(area.id.clone()), Topic::Admins]
        }
    };
    tx.publish(room_updated(area, action, topics))?;
    Ok(())
}

/// Assigns the area to the client; false if the client has it already.
pub fn assign(tx: &mut WriteTx<'_>, area: &Area, client: &ClientId) -> rusqlite::Result<bool> {
    if !rows::assign(tx.connection(), &area.id, client)? {
        return Ok(false);
    }
    tx.publish(AreaEvent::Added(client).build(area, tx.now()))?;
    tx.join(
        Subject::Client(client.clone()),
        Topic::Area(area.id.clone()),
    );
    Ok(true)
}

/// Takes the area from the client; false if the client does not have it.
pub fn unassign(tx: &mut WriteTx<'_>, area: &Area, client: &ClientId) -> rusqlite::Result<bool> {
    if !rows::unassign(tx.connection(), &area.id, client)? {
        return Ok(false);
    }
    tx.publish(AreaEvent::Removed(AreaRemoval::Unassigned(client)).build(area, tx.now()))?;
    let subject = Subject::Client(client.clone());
    rooms::expel(tx, &subject, area.id.as_str())?;
    tx.leave(subject, Topic::Area(area.id.clone()));
    Ok(true)
}
