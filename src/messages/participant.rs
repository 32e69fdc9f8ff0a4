//! The participants of conversations, as text in the database and as JSON.

use std::fmt;
use std::str::FromStr;

use rusqlite::types::{FromSql, FromSqlError, FromSqlResult, ToSql, ToSqlOutput, ValueRef};
use serde_json::{Value, json};
use wallcast_core::auth::Subject;
use wallcast_core::event::Topic;
use wallcast_core::ids::{ClientId, InvalidId, UserId};

use crate::http::{Fields, FromField};

/// A participant of a conversation. A conversation lists its two in this order.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Participant {
    /// All admins together.
    Admin,
    /// Every tablet and person. Only ever a recipient.
    All,
    Client(ClientId),
    /// A person. Needs no account.
    User(UserId),
}

impl Participant {
    /// The participant that a principal acts as. `None` for a tablet that is not paired yet.
    pub fn of(subject: &Subject) -> Option<Self> {
        match subject {
            Subject::Admin(_) => Some(Self::Admin),
            Subject::Client(id) => Some(Self::Client(id.clone())),
            Subject::User(id) => Some(Self::User(id.clone())),
            Subject::Pairing(_) => None,
        }
    }

    /// The principal, if the participant is a single one.
    pub(super) fn subject(&self) -> Option<Subject> {
        match self {
            Self::Client(id) => Some(Subject::Client(id.clone())),
            Self::User(id) => Some(Subject::User(id.clone())),
            Self::Admin | Self::All => None,
        }
    }

    /// The topic of the participant's events (docs/protocol.md#event-types).
    pub(super) fn topic(&self) -> Topic {
        match self {
            Self::Admin => Topic::Admins,
            Self::All => Topic::All,
            Self::Client(id) => Topic::Client(id.clone()),
            Self::User(id) => Topic::User(id.clone()),
        }
    }

    /// The JSON in `from` and `to`: `{clientId}`, `{userId}`, `{all: true}` or `{admin: true}`.
    pub(super) fn to_json(&self) -> Value {
        match self {
            Self::Admin => json!({ "admin": true }),
            Self::All => json!({ "all": true }),
            Self::Client(id) => json!({ "clientId": id }),
            Self::User(id) => json!({ "userId": id }),
        }
    }
}

impl FromField for Participant {
    fn from_field(value: Value) -> Result<Self, String> {
        const EXPECTED: &str = "must be one of {clientId}, {userId}, {all: true} and {admin: true}";
        let object = match value {
            Value::String(word) if word == "admin" => return Ok(Self::Admin),
            Value::String(word) if word == "all" => return Ok(Self::All),
            Value::Object(object) => object,
            _ => return Err(EXPECTED.into()),
        };
        let mut fields = Fields::new(object);
        let text = |error: crate::http::ApiError| format!("is invalid: {}", error.message());
        let client: Option<ClientId> = fields.optional("clientId").map_err(text)?;
        let user: Option<UserId> = fields.optional("userId").map_err(text)?;
        let all = fields.optional("all").map_err(text)? == Some(true);
        let admin = fields.optional("admin").map_err(text)? == Some(true);
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

impl fmt::Display for Participant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Admin => f.write_str("admin"),
            Self::All => f.write_str("all"),
            Self::Client(id) => write!(f, "client:{id}"),
            Self::User(id) => write!(f, "user:{id}"),
        }
    }
}

impl FromStr for Participant {
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

impl ToSql for Participant {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(self.to_string().into())
    }
}

impl FromSql for Participant {
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
    fn participant_text_round_trips() {
        for text in ["admin", "all", "client:c", "user:slack:u"] {
            assert_eq!(text.parse::<Participant>().unwrap().to_string(), text);
        }
        for text in ["", "user", "user:", "planet:mars"] {
            assert!(text.parse::<Participant>().is_err(), "{text}");
        }
    }

    #[test]
    fn participant_json_must_name_exactly_one() {
        for (value, expected) in [
            (json!("admin"), "admin"),
            (json!({ "admin": true }), "admin"),
            (json!({ "userId": "admin" }), "admin"),
            (json!({ "all": true }), "all"),
            (json!({ "client_id": "c" }), "client:c"),
            (json!({ "userId": "u" }), "user:u"),
        ] {
            let participant = Participant::from_field(value.clone()).unwrap();
            assert_eq!(participant.to_string(), expected, "{value}");
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
            assert!(Participant::from_field(value.clone()).is_err(), "{value}");
        }
    }
}
