//! Areas (seed 0): what a tablet shows, and the events that tell of their changes.

mod events;
pub mod mirror;
mod rows;
pub(crate) mod wire;

use std::str::FromStr;

use serde::{Serialize, Serializer};

use crate::http::text_fields;
use crate::rooms::{self, RoomAction};
use wallcast_core::audit::{self, Actor};
use wallcast_core::auth::Subject;
use wallcast_core::clock::Timestamp;
pub(crate) use wallcast_core::entity_id::EntityId;
use wallcast_core::event::Topic;
use wallcast_core::ids::{AreaId, ClientId};
use wallcast_core::store::{StoreError, WriteTx};

pub use events::{AreaEvent, Removal};
pub use rows::{find, find_by_room, is_assigned, of_client, page};
pub use wire::AreaJson;

/// Entities of one area at most (contract 6.1).
pub const MAX_ENTITIES: usize = 500;

/// An area.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Area {
    /// Its id.
    pub id: AreaId,
    /// Seed 1's integer id.
    pub room_id: i64,
    /// Its name.
    pub name: AreaName,
    /// Its entities, in the admin's order, without repeats.
    pub entity_ids: Vec<EntityId>,
    /// A disabled area's entities are neither told nor controllable.
    pub is_enabled: bool,
    /// Where it comes from.
    pub source: Source,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
}

/// Where an area comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// Made here.
    Local,
    /// Mirrored.
    HomeAssistant,
}

impl Source {
    /// The word on the wire and in the store.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Local => "local",
            Self::HomeAssistant => "homeassistant",
        }
    }
}

/// A name of 1 to 100 characters after trimming, without control characters (contract 6.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AreaName(String);

/// Text that is no name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a name has 1 to 100 characters and no control characters")]
pub struct InvalidName;

/// Trims and checks a name of 1 to 100 characters.
///
/// # Errors
/// [`InvalidName`].
pub fn checked_name(text: &str) -> Result<String, InvalidName> {
    let name = text.trim();
    let length = name.chars().count();
    if (1..=100).contains(&length) && !name.chars().any(char::is_control) {
        Ok(name.to_owned())
    } else {
        Err(InvalidName)
    }
}

impl FromStr for AreaName {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        checked_name(text).map(Self)
    }
}

impl AreaName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Serialize for AreaName {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

/// A list without repeats, the first of each kept in its place.
pub fn without_repeats(ids: Vec<EntityId>) -> Vec<EntityId> {
    let mut seen = std::collections::HashSet::new();
    ids.into_iter()
        .filter(|id| seen.insert(id.clone()))
        .collect()
}

/// What is to change; what is left out stays.
#[derive(Clone, Debug, Default)]
pub struct AreaPatch {
    /// A new name.
    pub name: Option<AreaName>,
    /// New entities, at most [`MAX_ENTITIES`], without repeats.
    pub entity_ids: Option<Vec<EntityId>>,
    /// On or off.
    pub enabled: Option<Switch>,
}

/// How `isEnabled` is to change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Switch {
    /// To this.
    Set(bool),
    /// To the other.
    Flip,
}

/// Why an area does not change.
#[derive(Debug, thiserror::Error)]
pub enum AreaError {
    /// There is no such area.
    #[error("There is no such area")]
    Unknown,
    /// Its name and entities are Home Assistant's, and so is whether it exists.
    #[error(
        "This area is Home Assistant's: rename, fill or delete it there; here it can be enabled, \
         disabled and assigned"
    )]
    Mirrored,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<rusqlite::Error> for AreaError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Store(error.into())
    }
}

/// Makes a local area; admins are told of its room.
///
/// # Errors
/// SQLite's.
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
        source: Source::Local,
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
    show(tx, area);
    rooms::tell(tx, area, RoomAction::Created)
}

/// Changes an area and tells who has it; a change that changes nothing tells nothing.
///
/// # Errors
/// [`AreaError`].
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
        Some(Switch::Set(enabled)) => enabled,
        Some(Switch::Flip) => !before.is_enabled,
        None => before.is_enabled,
    };
    let is_renamed = area.name != before.name || area.entity_ids != before.entity_ids;
    if is_renamed && before.source == Source::HomeAssistant {
        return Err(AreaError::Mirrored);
    }
    audit::record(
        tx,
        actor,
        "area.change",
        Some(id.as_str()),
        area.name.as_str(),
    )?;
    keep(tx, &before, &mut area)?;
    Ok(area)
}

/// Stores what changed of an area, and tells it.
fn keep(tx: &mut WriteTx<'_>, before: &Area, area: &mut Area) -> rusqlite::Result<()> {
    if area == before {
        return Ok(());
    }
    area.updated_at = tx.now();
    rows::update(tx.connection(), area)?;
    if area.entity_ids != before.entity_ids {
        rows::set_entities(tx.connection(), area)?;
    }
    if area.is_enabled != before.is_enabled || area.entity_ids != before.entity_ids {
        show(tx, area);
    }
    if area.name != before.name || area.entity_ids != before.entity_ids {
        tx.publish(AreaEvent::Updated.build(area, tx.now()))?;
        rooms::tell(tx, area, RoomAction::Updated)?;
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

/// Deletes an area; every client that has it is told. One of Home Assistant's goes only where there
/// is no Home Assistant any more that could delete it.
///
/// # Errors
/// [`AreaError`].
pub fn delete(
    tx: &mut WriteTx<'_>,
    id: &AreaId,
    orphans: Orphans,
    actor: &Actor,
) -> Result<(), AreaError> {
    let area = rows::find(tx.connection(), id)?.ok_or(AreaError::Unknown)?;
    if area.source == Source::HomeAssistant && orphans == Orphans::Stay {
        return Err(AreaError::Mirrored);
    }
    let (id, name) = (area.id.clone(), area.name.clone());
    remove(tx, area)?;
    audit::record(tx, actor, "area.delete", Some(id.as_str()), name.as_str())?;
    Ok(())
}

/// Whether an area of Home Assistant's may be deleted here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Orphans {
    /// No: Home Assistant would bring it back, or delete it itself.
    Stay,
    /// Yes: no Home Assistant is configured any more.
    Go,
}

fn remove(tx: &mut WriteTx<'_>, area: Area) -> rusqlite::Result<()> {
    tx.publish(AreaEvent::Removed(Removal::Deleted).build(&area, tx.now()))?;
    rooms::tell(tx, &area, RoomAction::Deleted)?;
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

/// Has the area's entities seen as they now are. Whoever writes an area's rows says so.
fn show(tx: &mut WriteTx<'_>, area: &Area) {
    let entities = match area.is_enabled {
        true => area.entity_ids.clone(),
        false => Vec::new(),
    };
    tx.show_area(area.id.clone(), entities);
}

/// Gives a client an area; false when it has it already.
///
/// # Errors
/// SQLite's.
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

/// Takes an area from a client; false when it does not have it.
///
/// # Errors
/// SQLite's.
pub fn unassign(tx: &mut WriteTx<'_>, area: &Area, client: &ClientId) -> rusqlite::Result<bool> {
    if !rows::unassign(tx.connection(), &area.id, client)? {
        return Ok(false);
    }
    tx.publish(AreaEvent::Removed(Removal::Unassigned(client)).build(area, tx.now()))?;
    let subject = Subject::Client(client.clone());
    rooms::expel(tx, &subject, area.id.as_str())?;
    tx.leave(subject, Topic::Area(area.id.clone()));
    Ok(true)
}

text_fields!(AreaName);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_trimmed_and_bounded() {
        assert_eq!("  Küche ".parse::<AreaName>().unwrap().as_str(), "Küche");
        assert!("x".repeat(100).parse::<AreaName>().is_ok());
        for bad in ["", "   ", "a\nb", &"x".repeat(101)] {
            assert!(bad.parse::<AreaName>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn entity_ids_are_domain_and_object() {
        assert!("light.kitchen_2".parse::<EntityId>().is_ok());
        for bad in [
            "",
            "light",
            "light.",
            ".x",
            "Light.x",
            "light.a.b",
            "light.ä",
            "light.a b",
        ] {
            assert!(bad.parse::<EntityId>().is_err(), "{bad:?}");
        }
    }
}
