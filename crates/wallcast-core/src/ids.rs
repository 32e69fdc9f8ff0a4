//! Typed ids, so that the id of one kind of thing cannot be passed for another.

/// Longest id that is accepted from outside, in bytes.
const MAX_ID_BYTES: usize = 128;

/// The text is not an id: it is empty, longer than 128 bytes, or contains white space or control characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an id is 1 to 128 bytes without white space or control characters")]
pub struct InvalidId;

/// Checks whether a text is an id. Called by the types that [`id!`](crate::id) defines.
///
/// # Errors
/// The text is not an id.
pub fn check(text: &str) -> Result<(), InvalidId> {
    let fits = !text.is_empty() && text.len() <= MAX_ID_BYTES;
    if fits && !text.chars().any(|c| c.is_control() || c.is_whitespace()) {
        Ok(())
    } else {
        Err(InvalidId)
    }
}

/// Defines an id type from its documentation, its name and the prefix of new ids. Other crates may use it for ids of
/// their own; they need `rusqlite` and `serde` as dependencies.
#[macro_export]
macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $prefix:literal) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(std::sync::Arc<str>);

        impl $name {
            /// Draws a new id: the type's prefix and 128 random bits.
            pub fn random() -> Self {
                Self(format!(concat!($prefix, "{}"), $crate::random::text::<16>()).into())
            }

            /// The id as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl std::str::FromStr for $name {
            type Err = $crate::ids::InvalidId;

            fn from_str(text: &str) -> Result<Self, $crate::ids::InvalidId> {
                $crate::ids::check(text)?;
                Ok(Self(text.into()))
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }

        impl rusqlite::ToSql for $name {
            fn to_sql(&self) -> rusqlite::Result<rusqlite::types::ToSqlOutput<'_>> {
                Ok(self.as_str().into())
            }
        }

        impl rusqlite::types::FromSql for $name {
            fn column_result(
                value: rusqlite::types::ValueRef<'_>,
            ) -> rusqlite::types::FromSqlResult<Self> {
                value.as_str().map(|text| Self(text.into()))
            }
        }
    };
}

id!(
    /// An area, `area_…`, or Home Assistant's own `area_id`.
    AreaId,
    "area_"
);
id!(
    /// A paired tablet, `client_…`.
    ClientId,
    "client_"
);
id!(
    /// A person who uses the messages, `user_…`, or the user id in a token's claims.
    UserId,
    "user_"
);
id!(
    /// A pairing that a tablet requested or an admin offered, `pairing_…`.
    PairingId,
    "pairing_"
);
id!(
    /// The `jti` claim, which identifies one token (RFC 7519 section 4.1.7).
    Jti,
    ""
);
id!(
    /// The name of a room within a namespace: an area id, a kiosk id, or any other name.
    RoomName,
    "room_"
);
id!(
    /// The public id of one session, `connectionId` on the wire. It is not a credential.
    ConnectionId,
    "conn_"
);
id!(
    /// An organisation of the status board; the admin chooses the id.
    OrganizationId,
    "org_"
);
id!(
    /// A tenant of the status board; the admin chooses the id.
    TenantId,
    "tenant_"
);
id!(
    /// The kiosk that a tablet is mounted at; the admin chooses the id.
    KioskId,
    "kiosk_"
);
id!(
    /// A locker of a kiosk, `locker_…` or the id that its creator chose.
    LockerId,
    "locker_"
);
id!(
    /// A command to a tablet, `command_…`.
    CommandId,
    "command_"
);

impl KioskId {
    /// The kiosk of a tablet for which the admin chose none: it has the client's id (`docs/protocol.md#rooms`).
    pub fn of_client(client: &ClientId) -> Self {
        Self(client.0.clone())
    }
}

id!(
    /// A service on the status board, `service_…`, or the name of one that Wallcast maintains itself.
    ServiceId,
    "service_"
);
id!(
    /// An incident on the status board, `incident_…`.
    IncidentId,
    "incident_"
);

impl ServiceId {
    /// The service that shows the state of Wallcast's database.
    pub fn database() -> Self {
        Self("database".into())
    }

    /// The service that shows the state of Home Assistant.
    pub fn home_assistant() -> Self {
        Self("homeassistant".into())
    }
}

id!(
    /// A message in a conversation, `message_…`.
    MessageId,
    "message_"
);
id!(
    /// A conversation between two parties on one platform, `conversation_…`.
    ConversationId,
    "conversation_"
);

impl UserId {
    /// Draws a new id for an admin, `admin_…`.
    pub fn random_admin() -> Self {
        Self(format!("admin_{}", crate::random::text::<16>()).into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn id_with_white_space_or_control_characters_is_rejected() {
        for bad in ["", " ", "a b", "line\nbreak", "nul\0", &"x".repeat(129)] {
            assert_eq!(bad.parse::<AreaId>(), Err(InvalidId), "{bad:?}");
        }
        for good in ["kitchen", "area_1", "küche", &"x".repeat(128)] {
            assert_eq!(good.parse::<AreaId>().unwrap().as_str(), good);
        }
    }
}
