//! The id of a Home Assistant entity.

use std::borrow::Borrow;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Serialize, Serializer};

/// Home Assistant's `domain.object_id`: both parts are of a-z, 0-9 and underscores, at most 255 bytes in all.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EntityId(Arc<str>);

/// The text is not an entity id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an entity id is domain.object_id in a-z, 0-9 and underscores")]
pub struct InvalidEntityId;

impl FromStr for EntityId {
    type Err = InvalidEntityId;

    fn from_str(text: &str) -> Result<Self, InvalidEntityId> {
        let fits = |part: &str| {
            !part.is_empty()
                && part
                    .bytes()
                    .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
        };
        match text.split_once('.') {
            Some((domain, object)) if fits(domain) && fits(object) && text.len() <= 255 => {
                Ok(Self(text.into()))
            }
            _ => Err(InvalidEntityId),
        }
    }
}

impl EntityId {
    /// Wraps an id that was validated before it was stored.
    pub fn from_stored(text: &str) -> Self {
        Self(text.into())
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The part before the dot, such as `light`.
    pub fn domain(&self) -> &str {
        self.0.split_once('.').map_or("", |(domain, _)| domain)
    }
}

impl Borrow<str> for EntityId {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for EntityId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Serialize for EntityId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entity_id_is_domain_and_object_id() {
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
