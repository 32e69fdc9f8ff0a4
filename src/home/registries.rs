//! Reads Home Assistant's area, device and entity registries, and resolves which entities are in
//! which area. Keeps only the fields that the mirror needs: a few megabytes for 10,000 entities.
//! Changes nothing.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use serde::Deserialize;
use serde_json::json;
use wallcast_core::entity_id::EntityId;

use super::{HomeConnection, HomeError};
use crate::areas::AreaName;
use crate::areas::mirror::MirroredArea;

/// Time limit for one registry; a large one on a slow machine takes long.
const LIST_TIMEOUT: Duration = Duration::from_secs(15);
/// Maximum mirrored areas.
const MAX_AREAS: usize = 2_000;
/// Maximum mirrored entities per area. The limit of 500 for the API does not apply, since Home
/// Assistant's areas may be larger, but an event must keep a sane size.
pub(super) const MAX_ENTITIES: usize = 5_000;

/// An entry of the area registry. An entry without these fields makes the whole list unreadable.
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
    /// Set on a child device, which inherits its parent's area (Core 2026.9).
    parent_device_id: Option<Box<str>>,
}

/// An entry of the entity registry, in the long form or the short form of `list_for_display`.
#[derive(Debug, Deserialize)]
pub(super) struct EntityEntry {
    #[serde(alias = "ei")]
    entity_id: Box<str>,
    #[serde(alias = "ai")]
    area_id: Option<Box<str>>,
    #[serde(alias = "di")]
    device_id: Option<Box<str>>,
    /// `hb`: hidden, in the short form.
    #[serde(default, rename = "hb")]
    is_hidden: Option<bool>,
    #[serde(default)]
    hidden_by: Option<Box<str>>,
    #[serde(default)]
    disabled_by: Option<Box<str>>,
}

/// The short form: enabled entities only, with the fields a frontend shows.
#[derive(Deserialize)]
struct DisplayList {
    entities: Vec<EntityEntry>,
}

/// The three registries as they were last read.
#[derive(Debug, Default)]
pub(super) struct Registries {
    pub(super) areas: Vec<AreaEntry>,
    pub(super) devices: Vec<DeviceEntry>,
    pub(super) entities: Vec<EntityEntry>,
}

/// Reads all areas.
///
/// # Errors
/// Any [`HomeError`]; one malformed entry makes the whole answer unreadable.
pub(super) async fn areas(connection: &HomeConnection) -> Result<Vec<AreaEntry>, HomeError> {
    let command = json!({ "type": "config/area_registry/list" });
    connection.request_within(LIST_TIMEOUT, command).await
}

/// Reads all devices.
///
/// # Errors
/// As [`areas`].
pub(super) async fn devices(connection: &HomeConnection) -> Result<Vec<DeviceEntry>, HomeError> {
    let command = json!({ "type": "config/device_registry/list" });
    connection.request_within(LIST_TIMEOUT, command).await
}

/// Reads all entities that are neither disabled nor hidden.
///
/// # Errors
/// As [`areas`].
pub(super) async fn entities(connection: &HomeConnection) -> Result<Vec<EntityEntry>, HomeError> {
    // A tenth of the size of the long form. Core supports it since 2023.
    let command = json!({ "type": "config/entity_registry/list_for_display" });
    let mut entities = match connection.request_within(LIST_TIMEOUT, command).await {
        Ok(DisplayList { entities }) => entities,
        Err(HomeError::Refused { .. }) => {
            let command = json!({ "type": "config/entity_registry/list" });
            connection
                .request_within::<Vec<EntityEntry>>(LIST_TIMEOUT, command)
                .await?
        }
        Err(error) => return Err(error),
    };
    entities.retain(EntityEntry::is_visible);
    entities.shrink_to_fit();
    Ok(entities)
}

impl EntityEntry {
    /// Neither disabled nor hidden. A disabled entity has no state. Home Assistant leaves hidden
    /// entities out of its own pages and of calls to a whole area, so clients do not get them
    /// either.
    fn is_visible(&self) -> bool {
        self.disabled_by.is_none() && self.hidden_by.is_none() && self.is_hidden != Some(true)
    }
}

impl Registries {
    /// The areas with their entities. An entity's area is its own, else its device's, else that of
    /// the device's parent.
    pub(super) fn mirrored_areas(&self) -> Vec<MirroredArea> {
        let mut entities_by_area: BTreeMap<&str, Vec<EntityId>> = BTreeMap::new();
        for area in &self.areas {
            entities_by_area.insert(&area.area_id, Vec::new());
        }
        let devices = self.devices.iter().map(|device| (&*device.id, device));
        let devices: HashMap<&str, &DeviceEntry> = devices.collect();
        for entity in &self.entities {
            let of_device = || area_of(entity.device_id.as_deref()?, &devices);
            let area = entity.area_id.as_deref().or_else(of_device);
            // An area that is missing from the list was deleted a moment ago.
            let entities = area.and_then(|area| entities_by_area.get_mut(area));
            if let (Some(entities), Ok(id)) = (entities, entity.entity_id.parse()) {
                entities.push(id);
            }
        }
        let names = self.areas.iter();
        names
            .take(MAX_AREAS)
            .filter_map(|entry| {
                let mut entity_ids = entities_by_area.remove(entry.area_id.as_str())?;
                // The registry's order may change with each restart.
                entity_ids.sort_unstable();
                entity_ids.dedup();
                entity_ids.truncate(MAX_ENTITIES);
                Some(MirroredArea {
                    id: entry.area_id.parse().ok()?,
                    name: name(entry)?,
                    entity_ids,
                })
            })
            .collect()
    }

    /// Whether entities refer to devices but the device list is empty.
    pub(super) fn lacks_devices(&self) -> bool {
        let of_device = |entity: &EntityEntry| entity.device_id.is_some();
        self.devices.is_empty() && self.entities.iter().any(of_device)
    }
}

/// Child devices have no children of their own. The bound guards against cycles.
const MAX_DEVICE_DEPTH: usize = 4;

fn area_of<'a>(id: &str, devices: &HashMap<&str, &'a DeviceEntry>) -> Option<&'a str> {
    let mut device = *devices.get(id)?;
    for _ in 0..MAX_DEVICE_DEPTH {
        if let Some(area) = device.area_id.as_deref() {
            return Some(area);
        }
        device = *devices.get(device.parent_device_id.as_deref()?)?;
    }
    None
}

/// The area's name cut to the API's rules for names, or its id if nothing is left. Home Assistant
/// does not bound names.
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

    fn ids(areas: &[MirroredArea]) -> Vec<(String, Vec<String>)> {
        let show = |area: &MirroredArea| {
            let ids = area.entity_ids.iter().map(ToString::to_string).collect();
            (area.id.to_string(), ids)
        };
        areas.iter().map(show).collect()
    }

    #[test]
    fn entity_area_falls_back_to_device_and_parent() {
        let registries = registries(
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
            ids(&registries.mirrored_areas()),
            [
                (text("k"), vec![text("light.child"), text("light.device")]),
                (text("h"), vec![text("light.moved"), text("light.own")]),
            ]
        );
    }

    #[test]
    fn disabled_and_hidden_entities_are_left_out() {
        let entities: Vec<EntityEntry> = serde_json::from_value(json!([
            {"entity_id": "light.a", "area_id": "k", "device_id": null, "hidden_by": null,
             "disabled_by": null, "labels": []},
            {"entity_id": "light.b", "area_id": "k", "hidden_by": "user"},
            {"entity_id": "light.c", "area_id": "k", "disabled_by": "integration"},
            {"ei": "light.d", "ai": "k", "hb": true},
        ]))
        .unwrap();
        let shown: Vec<_> = entities.iter().map(EntityEntry::is_visible).collect();
        assert_eq!(shown, [true, false, false, false]);
    }

    #[test]
    fn entry_without_id_makes_list_unreadable() {
        assert!(serde_json::from_value::<Vec<AreaEntry>>(json!([{"name": "x"}])).is_err());
        assert!(serde_json::from_value::<Vec<EntityEntry>>(json!([{"ai": "k"}])).is_err());
        assert!(serde_json::from_value::<Vec<DeviceEntry>>(json!({})).is_err());
    }

    #[test]
    fn area_names_are_cleaned_and_truncated() {
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
    fn very_large_area_is_truncated() {
        let entities: Vec<_> = (0..MAX_ENTITIES + 7)
            .map(|n| json!({"ei": format!("sensor.n{n}"), "ai": "k"}))
            .collect();
        let areas = json!([{"area_id": "k", "name": "K"}]);
        let registries = registries(areas, json!([]), entities.into());
        assert_eq!(
            registries.mirrored_areas()[0].entity_ids.len(),
            MAX_ENTITIES
        );
    }
}
