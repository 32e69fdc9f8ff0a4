//! Home Assistant's registries of areas, devices and entities, as far as the mirror needs them: a
//! house of 10,000 entities in a few megabytes. Asks, reads and combines; changes nothing.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use serde::Deserialize;
use serde_json::json;

use super::{HomeError, Link};
use crate::areas::AreaName;
use crate::areas::mirror::Mirrored;
use wallcast_core::entity_id::EntityId;

/// How long a registry may take: a large one on a slow machine comes late.
const LIST_WITHIN: Duration = Duration::from_secs(15);
/// Areas that are mirrored at most.
const MAX_AREAS: usize = 2_000;
/// Entities that are mirrored of one area at most. The contract's 500 bound what is sent to us;
/// Home Assistant's own areas may be larger, and an event must still be of a sane size.
pub(super) const MAX_ENTITIES: usize = 5_000;

/// An entry of the area registry. Without these two it is none, and neither is its list.
#[derive(Debug, Deserialize)]
pub(super) struct AreaEntry {
    area_id: String,
    name: String,
}

/// An entry of the device registry.
#[derive(Debug, Deserialize)]
pub(super) struct DeviceEntry {
    id: Box<str>,
    area_id: Option<Box<str>>,
    /// Of a child device, which inherits its parent's area (Core 2026.9).
    parent_device_id: Option<Box<str>>,
}

/// An entry of the entity registry, in either of its forms.
#[derive(Debug, Deserialize)]
pub(super) struct EntityEntry {
    #[serde(alias = "ei")]
    entity_id: Box<str>,
    #[serde(alias = "ai")]
    area_id: Option<Box<str>>,
    #[serde(alias = "di")]
    device_id: Option<Box<str>>,
    /// The short form's word for it.
    #[serde(default, rename = "hb")]
    is_hidden: Option<bool>,
    #[serde(default)]
    hidden_by: Option<Box<str>>,
    #[serde(default)]
    disabled_by: Option<Box<str>>,
}

/// The short form: enabled entities alone, and of each only what a page shows.
#[derive(Deserialize)]
struct ForDisplay {
    entities: Vec<EntityEntry>,
}

/// The three registries as they were last read.
#[derive(Debug, Default)]
pub(super) struct Registries {
    pub(super) areas: Vec<AreaEntry>,
    pub(super) devices: Vec<DeviceEntry>,
    pub(super) entities: Vec<EntityEntry>,
}

/// Asks for all areas.
///
/// # Errors
/// [`HomeError`]; one entry that is none makes the whole answer unreadable.
pub(super) async fn areas(link: &Link) -> Result<Vec<AreaEntry>, HomeError> {
    let command = json!({ "type": "config/area_registry/list" });
    link.request_within(LIST_WITHIN, command).await
}

/// Asks for all devices.
///
/// # Errors
/// As [`areas`].
pub(super) async fn devices(link: &Link) -> Result<Vec<DeviceEntry>, HomeError> {
    let command = json!({ "type": "config/device_registry/list" });
    link.request_within(LIST_WITHIN, command).await
}

/// Asks for all entities that the mirror may show: neither disabled nor hidden.
///
/// # Errors
/// As [`areas`].
pub(super) async fn entities(link: &Link) -> Result<Vec<EntityEntry>, HomeError> {
    // A tenth of the whole registry's size. Core has it since 2023.
    let command = json!({ "type": "config/entity_registry/list_for_display" });
    let mut entities = match link.request_within(LIST_WITHIN, command).await {
        Ok(ForDisplay { entities }) => entities,
        Err(HomeError::Refused { .. }) => {
            let command = json!({ "type": "config/entity_registry/list" });
            link.request_within::<Vec<EntityEntry>>(LIST_WITHIN, command)
                .await?
        }
        Err(error) => return Err(error),
    };
    entities.retain(EntityEntry::is_shown);
    entities.shrink_to_fit();
    Ok(entities)
}

impl EntityEntry {
    /// A disabled entity has no state. A hidden one was taken off Home Assistant's own pages, and is
    /// passed over there when an area is switched as a whole: tablets do not get it either.
    fn is_shown(&self) -> bool {
        self.disabled_by.is_none() && self.hidden_by.is_none() && self.is_hidden != Some(true)
    }
}

impl Registries {
    /// The areas with the entities in them, by their effective area: the entity's own, else its
    /// device's, else that device's parent's.
    pub(super) fn rooms(&self) -> Vec<Mirrored> {
        let mut rooms: BTreeMap<&str, Vec<EntityId>> = BTreeMap::new();
        for area in &self.areas {
            rooms.insert(&area.area_id, Vec::new());
        }
        let devices = self.devices.iter().map(|device| (&*device.id, device));
        let devices: HashMap<&str, &DeviceEntry> = devices.collect();
        for entity in &self.entities {
            let of_device = || area_of(entity.device_id.as_deref()?, &devices);
            let area = entity.area_id.as_deref().or_else(of_device);
            // An area that is not in the list was deleted a moment ago.
            let room = area.and_then(|area| rooms.get_mut(area));
            if let (Some(room), Ok(id)) = (room, entity.entity_id.parse()) {
                room.push(id);
            }
        }
        let names = self.areas.iter();
        names
            .take(MAX_AREAS)
            .filter_map(|entry| {
                let mut entity_ids = rooms.remove(entry.area_id.as_str())?;
                // The registry's order may change with any restart.
                entity_ids.sort_unstable();
                entity_ids.dedup();
                entity_ids.truncate(MAX_ENTITIES);
                Some(Mirrored {
                    id: entry.area_id.parse().ok()?,
                    name: name(entry)?,
                    entity_ids,
                })
            })
            .collect()
    }

    /// Whether entities are there whose devices are not.
    pub(super) fn lacks_devices(&self) -> bool {
        let of_device = |entity: &EntityEntry| entity.device_id.is_some();
        self.devices.is_empty() && self.entities.iter().any(of_device)
    }
}

/// Children have no children; the bound keeps a registry that says otherwise from a loop.
const MAX_GENERATIONS: usize = 4;

fn area_of<'a>(id: &str, devices: &HashMap<&str, &'a DeviceEntry>) -> Option<&'a str> {
    let mut device = *devices.get(id)?;
    for _ in 0..MAX_GENERATIONS {
        if let Some(area) = device.area_id.as_deref() {
            return Some(area);
        }
        device = *devices.get(device.parent_device_id.as_deref()?)?;
    }
    None
}

/// An area's name as the contract bounds names: Home Assistant's have no bound.
fn name(entry: &AreaEntry) -> Option<AreaName> {
    let fitted = |text: &str| -> Option<AreaName> {
        let clean = |c: char| if c.is_control() { ' ' } else { c };
        let text: String = text.trim().chars().map(clean).take(100).collect();
        text.parse().ok()
    };
    fitted(&entry.name).or_else(|| fitted(&entry.area_id))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    fn registries(areas: Value, devices: Value, entities: Value) -> Registries {
        Registries {
            areas: serde_json::from_value(areas).unwrap(),
            devices: serde_json::from_value(devices).unwrap(),
            entities: serde_json::from_value(entities).unwrap(),
        }
    }

    fn ids(rooms: &[Mirrored]) -> Vec<(String, Vec<String>)> {
        let show = |room: &Mirrored| {
            let ids = room.entity_ids.iter().map(ToString::to_string).collect();
            (room.id.to_string(), ids)
        };
        rooms.iter().map(show).collect()
    }

    #[test]
    fn an_entity_is_where_it_says_or_its_device_or_its_parent() {
        let house = registries(
            json!([{"area_id": "k", "name": "Kitchen"}, {"area_id": "h", "name": "Hall", "x": 1}]),
            json!([
                {"id": "parent", "area_id": "k"},
                {"id": "child", "area_id": null, "parent_device_id": "parent"},
                {"id": "moved", "area_id": "h", "parent_device_id": "parent"},
                {"id": "orphan", "parent_device_id": "gone"},
                {"id": "a", "parent_device_id": "b"},
                {"id": "b", "parent_device_id": "a"},
            ]),
            json!([
                {"ei": "light.own", "pl": "x", "ai": "h", "di": "parent"},
                {"ei": "light.device", "di": "parent"},
                {"ei": "light.child", "di": "child"},
                {"ei": "light.moved", "di": "moved"},
                {"ei": "light.orphan", "di": "orphan"},
                {"ei": "light.circle", "di": "a"},
                {"ei": "light.lost", "ai": "deleted"},
                {"ei": "light.nowhere"},
                {"ei": "not an id", "ai": "h"},
            ]),
        );
        let text = |id: &str| id.to_owned();
        assert_eq!(
            ids(&house.rooms()),
            [
                (text("k"), vec![text("light.child"), text("light.device")]),
                (text("h"), vec![text("light.moved"), text("light.own")]),
            ]
        );
    }

    #[test]
    fn the_long_form_says_the_same() {
        let entities: Vec<EntityEntry> = serde_json::from_value(json!([
            {"entity_id": "light.a", "area_id": "k", "device_id": null, "hidden_by": null,
             "disabled_by": null, "labels": []},
            {"entity_id": "light.b", "area_id": "k", "hidden_by": "user"},
            {"entity_id": "light.c", "area_id": "k", "disabled_by": "integration"},
            {"ei": "light.d", "ai": "k", "hb": true},
        ]))
        .unwrap();
        let shown: Vec<_> = entities.iter().map(EntityEntry::is_shown).collect();
        assert_eq!(shown, [true, false, false, false]);
    }

    #[test]
    fn an_entry_without_its_id_spoils_the_list() {
        assert!(serde_json::from_value::<Vec<AreaEntry>>(json!([{"name": "x"}])).is_err());
        assert!(serde_json::from_value::<Vec<EntityEntry>>(json!([{"ai": "k"}])).is_err());
        assert!(serde_json::from_value::<Vec<DeviceEntry>>(json!({})).is_err());
    }

    #[test]
    fn names_are_fitted_to_the_contract() {
        let named = |name: &str| {
            let entry = AreaEntry {
                area_id: "living".into(),
                name: name.into(),
            };
            super::name(&entry).unwrap().as_str().to_owned()
        };
        assert_eq!(named(" Bad\u{7}\n Süd "), "Bad   Süd");
        assert_eq!(named(&"x".repeat(300)), "x".repeat(100));
        assert_eq!(named(" \n "), "living");
    }

    #[test]
    fn a_very_large_area_is_cut() {
        let entities: Vec<_> = (0..MAX_ENTITIES + 7)
            .map(|n| json!({"ei": format!("sensor.n{n}"), "ai": "k"}))
            .collect();
        let areas = json!([{"area_id": "k", "name": "K"}]);
        let house = registries(areas, json!([]), entities.into());
        assert_eq!(house.rooms()[0].entity_ids.len(), MAX_ENTITIES);
    }
}
