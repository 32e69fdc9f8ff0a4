//! Who writes to whom: the sides of a conversation, and their text in the store and on the wire.

use std::fmt;
use std::str::FromStr;

use rusqlite::types::{FromSql, FromSqlError, FromSqlResult, ToSql, ToSqlOutput, ValueRef};
use serde_json::{Value, json};

use crate::http::{Fields, FromField};
use wallcast_core::auth::Subject;
use wallcast_core::event::Topic;
use wallcast_core::ids::{ClientId, InvalidId, UserId};

/// A side of a conversation. Their order is the order in which a conversation names its two.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Party {
    /// Whoever is an admin: they are one side together.
    Admin,
    /// Every tablet and person there is; hears, and never writes.
    All,
    /// A tablet.
    Client(ClientId),
    /// A person, who needs no account.
    User(UserId),
}

impl Party {
    /// The side that a principal is on; none for a tablet that waits to be paired.
    pub fn of(subject: &Subject) -> Option<Self> {
        match subject {
            Subject::Admin(_) => Some(Self::Admin),
            Subject::Client(id) => Some(Self::Client(id.clone())),
            Subject::User(id) => Some(Self::User(id.clone())),
            Subject::Pairing(_) => None,
        }
    }

    /// The principal, if the side is one alone.
    pub(super) fn subject(&self) -> Option<Subject> {
        match self {
            Self::Client(id) => Some(Subject::Client(id.clone())),
            Self::User(id) => Some(Subject::User(id.clone())),
            Self::Admin | Self::All => None,
        }
    }

    /// Where it hears of its messages (contract section 5).
    pub(super) fn topic(&self) -> Topic {
        match self {
            Self::Admin => Topic::Admins,
            Self::All => Topic::All,
            Self::Client(id) => Topic::Client(id.clone()),
            Self::User(id) => Topic::User(id.clone()),
        }
    }

    /// As a request names it in `to`: `{clientId}`, `{userId}`, `{all: true}` or `{admin: true}`.
    pub(super) fn to_json(&self) -> Value {
        match self {
            Self::Admin => json!({ "admin": true }),
            Self::All => json!({ "all": true }),
            Self::Client(id) => json!({ "clientId": id }),
            Self::User(id) => json!({ "userId": id }),
        }
    }
}

impl FromField for Party {
    fn from_field(value: Value) -> Result<Self, String> {
        const EXPECTED: &str = "must be one of {clientId}, {userId}, {all: true} and {admin: true}";
        let object = match value {
            Value::String(word) if word == "admin" => return Ok(Self::Admin),
            Value::String(word) if word == "all" => return Ok(Self::All),
            Value::Object(object) => object,
            _ => return Err(EXPECTED.into()),
        };
        let mut fields = Fields::new(object);
        let said = |error: crate::http::ApiError| format!("is not right: {}", error.message());
        let client: Option<ClientId> = fields.optional("clientId").map_err(said)?;
        let user: Option<UserId> = fields.optional("userId").map_err(said)?;
        let all = fields.optional("all").map_err(said)? == Some(true);
        let admin = fields.optional("admin").map_err(said)? == Some(true);
        match (client, user, all, admin) {
            (Some(client), None, false, false) => Ok(Self::Client(client)),
            (None, Some(user), false, false) if user.as_str() == "admin" => Ok(Self::Admin),
            (None, Some(user), false, false) => Ok(Self::User(user)),
            (None, None, true, false) => Ok(Self::All),
            (None, None, false, true) => Ok(Self::Admin),
            _ => Err(EXPECTED.into()),
        }
    }
}

impl fmt::Display for Party {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Admin => f.write_str("admin"),
            Self::All => f.write_str("all"),
            Self::Client(id) => write!(f, "client:{id}"),
            Self::User(id) => write!(f, "user:{id}"),
        }
    }
}

impl FromStr for Party {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        match text.split_once(':') {
            None if text == "admin" => Ok(Self::Admin),
            None if text == "all" => Ok(Self::All),
            Some(("client", id)) => id.parse().map(Self::Client),
            Some(("user", id)) => id.parse().map(Self::User),
            _ => Err(InvalidId),
        }
    }
}

impl ToSql for Party {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(self.to_string().into())
    }
}

impl FromSql for Party {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        value
            .as_str()?
            .parse()
            .map_err(|error| FromSqlError::Other(Box::new(error)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sides_survive_the_store() {
        for text in ["admin", "all", "client:c", "user:slack:u"] {
            assert_eq!(text.parse::<Party>().unwrap().to_string(), text);
        }
        for text in ["", "user", "user:", "planet:mars"] {
            assert!(text.parse::<Party>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_request_names_one_side_and_no_more() {
        for (value, expected) in [
            (json!("admin"), "admin"),
            (json!({ "admin": true }), "admin"),
            (json!({ "userId": "admin" }), "admin"),
            (json!({ "all": true }), "all"),
            (json!({ "client_id": "c" }), "client:c"),
            (json!({ "userId": "u" }), "user:u"),
        ] {
            let party = Party::from_field(value.clone()).unwrap();
            assert_eq!(party.to_string(), expected, "{value}");
        }
        for value in [
            json!("somebody"),
            json!(7),
            json!({}),
            json!({ "all": false }),
            json!({ "all": "yes" }),
            json!({ "userId": "a b" }),
            json!({ "userId": "u", "clientId": "c" }),
            json!({ "userId": "u", "all": true }),
        ] {
            assert!(Party::from_field(value.clone()).is_err(), "{value}");
        }
    }
}
