//! An area: its name, its entities and where it comes from.

use std::collections::HashSet;
use std::str::FromStr;

use serde::{Serialize, Serializer};
use wallcast_core::clock::Timestamp;
use wallcast_core::entity_id::EntityId;
use wallcast_core::ids::AreaId;

use crate::http::text_fields;

/// The most entities that an admin may put into one area.
pub const MAX_ENTITIES: usize = 500;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Area {
    pub id: AreaId,
    /// The integer by which `join_room` and `room_updated` name the area's room.
    pub room_id: i64,
    pub name: AreaName,
    /// In the admin's order, without duplicates.
    pub entity_ids: Vec<EntityId>,
    /// While false, clients neither receive the states of its entities nor control them.
    pub is_enabled: bool,
    pub source: AreaSource,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

/// Where an area comes from, which decides who may rename, fill and delete it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AreaSource {
    /// An admin created it in Wallcast.
    Local,
    /// It mirrors an area of Home Assistant.
    HomeAssistant,
}

impl AreaSource {
    /// The word in JSON and in the database.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Local => "local",
            Self::HomeAssistant => "homeassistant",
        }
    }
}

/// 1 to 100 characters after trimming, without control characters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AreaName(String);

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a name has 1 to 100 characters and no control characters")]
pub struct InvalidName;

/// Trims `text` and checks the rules of [`AreaName`], which names of clients follow too.
///
/// # Errors
/// [`InvalidName`] if the trimmed text breaks a rule.
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
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// A name that was checked before it was stored.
    pub(super) fn from_stored(name: String) -> Self {
        Self(name)
    }
}

impl Serialize for AreaName {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

text_fields!(AreaName);

/// Removes duplicates; the first occurrence keeps its place.
pub fn deduplicate(ids: Vec<EntityId>) -> Vec<EntityId> {
    let mut seen = HashSet::new();
    ids.into_iter()
        .filter(|id| seen.insert(id.clone()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn area_name_is_trimmed_and_bounded() {
        assert_eq!("  Küche ".parse::<AreaName>().unwrap().as_str(), "Küche");
        assert!("x".repeat(100).parse::<AreaName>().is_ok());
        for bad in ["", "   ", "a\nb", &"x".repeat(101)] {
            assert!(bad.parse::<AreaName>().is_err(), "{bad:?}");
        }
    }
}
