//! Parses the fields of a JSON object from a client into typed values.
//!
//! A key may be written in camel case or snake case (`isEnabled`, `is_enabled`;
//! `docs/protocol.md#http-conventions`). Unknown keys are ignored. Errors name the field and the rule:
//! `` `entityIds[2]` must be a string ``.

use std::str::FromStr;

use serde_json::{Map, Value};
use wallcast_core::entity_id::EntityId;
use wallcast_core::event::{Epoch, EventId, EventType, Namespace};
use wallcast_core::ids::{
    AreaId, ClientId, CommandId, ConnectionId, KioskId, LockerId, OrganizationId, RoomName,
    ServiceId, TenantId, UserId,
};

use crate::http::ApiError;
use crate::text::{MultiLine, SingleLine};

/// The fields of a request body or of a client message.
#[derive(Debug, Default)]
pub struct Fields(Map<String, Value>);

/// A type that a field's JSON value can be parsed into.
pub trait FromField: Sized {
    /// Parses a value.
    ///
    /// # Errors
    /// The rule that the value breaks, to follow the field's name: "must be a string".
    fn from_field(value: Value) -> Result<Self, String>;

    /// Parses the value at `path`, for example `entityIds` or `entityIds[2]`.
    ///
    /// # Errors
    /// A message that names the path and the rule.
    fn from_field_at(value: Value, path: &str) -> Result<Self, String> {
        Self::from_field(value).map_err(|rule| format!("`{path}` {rule}"))
    }
}

impl Fields {
    pub fn new(object: Map<String, Value>) -> Self {
        Self(object)
    }

    /// The fields that were not parsed.
    pub fn into_object(self) -> Map<String, Value> {
        self.0
    }

    /// Parses an optional field. `null` counts as missing.
    ///
    /// # Errors
    /// 422 if the value is invalid.
    pub fn optional<T: FromField>(&mut self, key: &'static str) -> Result<Option<T>, ApiError> {
        Ok(self.nullable(key)?.flatten())
    }

    /// Parses a required field.
    ///
    /// # Errors
    /// 422 if the field is missing or invalid.
    pub fn required<T: FromField>(&mut self, key: &'static str) -> Result<T, ApiError> {
        self.optional(key)?
            .ok_or_else(|| ApiError::field(key, format!("`{key}` is required")))
    }

    /// Parses a field whose `null` clears a value: `None` if it is missing, `Some(None)` if it is `null`.
    ///
    /// # Errors
    /// 422 if the value is invalid.
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
            Some(value) => T::from_field_at(value, key)
                .map(|parsed| Some(Some(parsed)))
                .map_err(|message| ApiError::field(key, message)),
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
        value.as_i64().ok_or_else(|| "must be an integer".into())
    }
}

impl FromField for String {
    fn from_field(value: Value) -> Result<Self, String> {
        match value {
            Value::String(text) => Ok(text),
            _ => Err("must be a string".into()),
        }
    }
}

impl FromField for Value {
    fn from_field(value: Value) -> Result<Self, String> {
        Ok(value)
    }
}

impl<const MAX: usize> FromField for SingleLine<MAX> {
    fn from_field(value: Value) -> Result<Self, String> {
        from_text(value)
    }
}

impl<const MIN: usize, const MAX: usize> FromField for MultiLine<MIN, MAX> {
    fn from_field(value: Value) -> Result<Self, String> {
        from_text(value)
    }
}

impl<T: FromField> FromField for Vec<T> {
    fn from_field(value: Value) -> Result<Self, String> {
        Self::from_field_at(value, "")
    }

    fn from_field_at(value: Value, path: &str) -> Result<Self, String> {
        match value {
            Value::Array(values) => values
                .into_iter()
                .enumerate()
                .map(|(index, value)| T::from_field_at(value, &format!("{path}[{index}]")))
                .collect(),
            _ => Err(format!("`{path}` must be an array")),
        }
    }
}

/// Parses a string with the type's `FromStr`.
///
/// # Errors
/// The rule that the value breaks: "must be a string", or the error of `FromStr`.
pub fn from_text<T>(value: Value) -> Result<T, String>
where
    T: FromStr,
    T::Err: std::fmt::Display,
{
    String::from_field(value)?
        .parse()
        .map_err(|error: T::Err| format!("is invalid: {error}"))
}

impl FromField for EventId {
    fn from_field(value: Value) -> Result<Self, String> {
        match value.as_i64() {
            Some(id @ 0..) => Ok(Self::new(id)),
            _ => Err("must be an event id, an integer from 0".into()),
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
        Self::custom(&String::from_field(value)?).map_err(|error| format!("is invalid: {error}"))
    }
}

impl FromField for Epoch {
    fn from_field(value: Value) -> Result<Self, String> {
        String::from_field(value).map(|text| Self::from_stored(&text))
    }
}

/// Implements [`FromField`] for types that are parsed from a string with `FromStr`.
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
    EntityId,
    ServiceId,
);

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(json: &str) -> Fields {
        Fields::new(serde_json::from_str(json).unwrap())
    }

    #[test]
    fn key_is_accepted_in_camel_and_snake_case() {
        let mut body = fields(r#"{"is_enabled":true,"isActive":false}"#);
        assert_eq!(body.optional::<bool>("isEnabled").unwrap(), Some(true));
        assert_eq!(body.optional::<bool>("isActive").unwrap(), Some(false));
    }

    #[test]
    fn null_is_distinguished_from_missing() {
        let mut body = fields(r#"{"kioskId":null}"#);
        assert_eq!(body.nullable::<KioskId>("kioskId").unwrap(), Some(None));
        assert_eq!(body.nullable::<KioskId>("kioskId").unwrap(), None);
    }

    #[test]
    fn errors_name_the_field_and_the_rule() {
        let mut body = fields(r#"{"isEnabled":"yes","areaIds":["ok",7],"entityIds":{}}"#);
        let message = |result: Result<(), ApiError>| result.unwrap_err().message().to_owned();
        assert_eq!(
            message(body.optional::<bool>("isEnabled").map(drop)),
            "`isEnabled` must be true or false"
        );
        assert_eq!(
            message(body.optional::<Vec<AreaId>>("areaIds").map(drop)),
            "`areaIds[1]` must be a string"
        );
        assert_eq!(
            message(body.optional::<Vec<AreaId>>("entityIds").map(drop)),
            "`entityIds` must be an array"
        );
        assert_eq!(
            message(body.required::<String>("name").map(drop)),
            "`name` is required"
        );
    }
}
