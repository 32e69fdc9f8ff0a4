//! A JSON object from outside, turned field by field into types that cannot be wrong.
//!
//! Both spellings of a key are taken (`isEnabled`, `is_enabled`; contract section 1); keys that
//! nobody asks for are passed over.

use std::str::FromStr;

use serde_json::{Map, Value};

use crate::http::ApiError;
use crate::text::{Line, Prose};
use wallcast_core::event::{Epoch, EventId, EventType, Namespace};
use wallcast_core::ids::{
    AreaId, ClientId, CommandId, ConnectionId, KioskId, LockerId, OrganizationId, RoomName,
    TenantId, UserId,
};

/// The fields of one body or message.
#[derive(Debug, Default)]
pub struct Fields(Map<String, Value>);

/// What a field may hold.
pub trait FromField: Sized {
    /// Parses the value.
    ///
    /// # Errors
    /// What was expected, in words that follow the field's name.
    fn from_field(value: Value) -> Result<Self, String>;
}

impl Fields {
    /// The fields of a JSON object.
    pub fn new(object: Map<String, Value>) -> Self {
        Self(object)
    }

    /// Those that were not taken yet.
    pub fn into_object(self) -> Map<String, Value> {
        self.0
    }

    /// A field that may be missing; `null` counts as missing.
    ///
    /// # Errors
    /// 422 that names the field.
    pub fn optional<T: FromField>(&mut self, key: &'static str) -> Result<Option<T>, ApiError> {
        Ok(self.nullable(key)?.flatten())
    }

    /// A field that must be there.
    ///
    /// # Errors
    /// 422 that names the field.
    pub fn required<T: FromField>(&mut self, key: &'static str) -> Result<T, ApiError> {
        self.optional(key)?
            .ok_or_else(|| ApiError::field(key, format!("{key} is required")))
    }

    /// A field where `null` says something else than nothing.
    ///
    /// # Errors
    /// 422 that names the field.
    pub fn nullable<T: FromField>(
        &mut self,
        key: &'static str,
    ) -> Result<Option<Option<T>>, ApiError> {
        match self
            .0
            .remove(key)
            .or_else(|| self.0.remove(&snake_case(key)))
        {
            None => Ok(None),
            Some(Value::Null) => Ok(Some(None)),
            Some(value) => T::from_field(value)
                .map(|parsed| Some(Some(parsed)))
                .map_err(|expected| ApiError::field(key, format!("{key} {expected}"))),
        }
    }
}

fn snake_case(key: &str) -> String {
    let mut snake = String::with_capacity(key.len() + 4);
    for character in key.chars() {
        if character.is_ascii_uppercase() {
            snake.push('_');
        }
        snake.push(character.to_ascii_lowercase());
    }
    snake
}

impl FromField for bool {
    fn from_field(value: Value) -> Result<Self, String> {
        value
            .as_bool()
            .ok_or_else(|| "must be true or false".into())
    }
}

impl FromField for i64 {
    fn from_field(value: Value) -> Result<Self, String> {
        value
            .as_i64()
            .ok_or_else(|| "must be a whole number".into())
    }
}

impl FromField for String {
    fn from_field(value: Value) -> Result<Self, String> {
        match value {
            Value::String(text) => Ok(text),
            _ => Err("must be a text".into()),
        }
    }
}

impl FromField for Value {
    fn from_field(value: Value) -> Result<Self, String> {
        Ok(value)
    }
}

impl<const MAX: usize> FromField for Line<MAX> {
    fn from_field(value: Value) -> Result<Self, String> {
        from_text(value)
    }
}

impl<const MAX: usize> FromField for Prose<MAX> {
    fn from_field(value: Value) -> Result<Self, String> {
        from_text(value)
    }
}

impl<T: FromField> FromField for Vec<T> {
    fn from_field(value: Value) -> Result<Self, String> {
        match value {
            Value::Array(values) => values
                .into_iter()
                .map(|value| {
                    T::from_field(value).map_err(|expected| format!("has one that {expected}"))
                })
                .collect(),
            _ => Err("must be a list".into()),
        }
    }
}

/// Parses a text field by the type's own `FromStr`.
///
/// # Errors
/// The type's own words.
pub fn from_text<T>(value: Value) -> Result<T, String>
where
    T: FromStr,
    T::Err: std::fmt::Display,
{
    String::from_field(value)?
        .parse()
        .map_err(|error: T::Err| format!("is not right: {error}"))
}

impl FromField for EventId {
    fn from_field(value: Value) -> Result<Self, String> {
        match value.as_i64() {
            Some(id @ 0..) => Ok(Self::new(id)),
            _ => Err("must be an event's id, a whole number that is 0 or more".into()),
        }
    }
}

impl FromField for Map<String, Value> {
    fn from_field(value: Value) -> Result<Self, String> {
        match value {
            Value::Object(object) => Ok(object),
            _ => Err("must be an object".into()),
        }
    }
}

impl FromField for Namespace {
    fn from_field(value: Value) -> Result<Self, String> {
        let path = String::from_field(value)?;
        Self::from_path(&path).ok_or_else(|| {
            let paths = Self::ALL.map(Self::path).join(", ");
            format!("must be one of {paths}")
        })
    }
}

impl FromField for EventType {
    fn from_field(value: Value) -> Result<Self, String> {
        Self::custom(&String::from_field(value)?).map_err(|error| format!("is not right: {error}"))
    }
}

impl FromField for Epoch {
    fn from_field(value: Value) -> Result<Self, String> {
        String::from_field(value).map(|text| Self::from_stored(&text))
    }
}

/// Fields of these types hold a text that their `FromStr` parses.
macro_rules! text_fields {
    ($($type:ty),* $(,)?) => {
        $(impl $crate::http::FromField for $type {
            fn from_field(value: serde_json::Value) -> Result<Self, String> {
                $crate::http::from_text(value)
            }
        })*
    };
}

pub(crate) use text_fields;

text_fields!(
    AreaId,
    ClientId,
    CommandId,
    ConnectionId,
    KioskId,
    LockerId,
    OrganizationId,
    RoomName,
    TenantId,
    UserId,
    wallcast_core::entity_id::EntityId,
    wallcast_core::ids::ServiceId,
);

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(json: &str) -> Fields {
        Fields::new(serde_json::from_str(json).unwrap())
    }

    #[test]
    fn takes_both_spellings_and_tells_null_from_missing() {
        let mut body = fields(r#"{"is_enabled":true,"kioskId":null}"#);
        assert_eq!(body.optional::<bool>("isEnabled").unwrap(), Some(true));
        assert_eq!(body.nullable::<KioskId>("kioskId").unwrap(), Some(None));
        assert_eq!(body.nullable::<KioskId>("kioskId").unwrap(), None);
    }

    #[test]
    fn names_the_field_that_is_wrong() {
        let mut body = fields(r#"{"isEnabled":"yes","areaIds":["ok",7]}"#);
        assert!(body.optional::<bool>("isEnabled").is_err());
        assert!(body.optional::<Vec<AreaId>>("areaIds").is_err());
        assert!(body.required::<String>("name").is_err());
    }
}
