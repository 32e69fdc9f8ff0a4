//! The ids of things, as types that cannot be mixed up.

use std::fmt;
use std::sync::Arc;

use serde::{Serialize, Serializer};

use crate::random;

/// Longest id that is taken from outside, in bytes.
const MAX_ID_BYTES: usize = 128;

/// A text that cannot be an id: empty, longer than 128 bytes, or with white space or control characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an id is 1 to 128 bytes without white space or control characters")]
pub struct InvalidId;

fn check(text: &str) -> Result<(), InvalidId> {
    let fits = !text.is_empty() && text.len() <= MAX_ID_BYTES;
    if fits && !text.chars().any(|c| c.is_control() || c.is_whitespace()) {
        Ok(())
    } else {
        Err(InvalidId)
    }
}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $prefix:literal) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(Arc<str>);

        impl $name {
            /// A new random id with this kind's prefix and 128 bits behind it.
            pub fn random() -> Self {
                Self(format!(concat!($prefix, "{}"), random::text::<16>()).into())
            }

            /// The id as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl std::str::FromStr for $name {
            type Err = InvalidId;

            fn from_str(text: &str) -> Result<Self, InvalidId> {
                check(text)?;
                Ok(Self(text.into()))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
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
    /// A person of seed 4, `user_…` or any id a token names.
    UserId,
    "user_"
);
id!(
    /// A tablet's wish to be paired or an admin's offer to pair one, `pairing_…`.
    PairingId,
    "pairing_"
);
id!(
    /// The identity of one token (RFC 7519 section 4.1.7).
    Jti,
    ""
);
id!(
    /// A room inside a namespace: an area's id, a kiosk's, or any other name.
    RoomName,
    "room_"
);
id!(
    /// One open session as it is told to the outside; never a credential.
    ConnectionId,
    "conn_"
);
id!(
    /// A tenant's organisation (seed 2), named by the admin.
    OrganizationId,
    "org_"
);
id!(
    /// A tenant inside an organisation (seed 2), named by the admin.
    TenantId,
    "tenant_"
);
id!(
    /// The kiosk a tablet stands at (seed 3), named by the admin.
    KioskId,
    "kiosk_"
);
id!(
    /// A locker of a kiosk (seed 3), `locker_…` or the id that it brings.
    LockerId,
    "locker_"
);
id!(
    /// What a tablet is to do (seed 3), `command_…`.
    CommandId,
    "command_"
);

impl KioskId {
    /// The kiosk of a tablet that has no other (contract 4.5).
    pub fn of_client(client: &ClientId) -> Self {
        Self(client.0.clone())
    }
}

id!(
    /// A service of the status board (seed 2), `service_…`, or the name of one of Wallcast's own.
    ServiceId,
    "service_"
);
id!(
    /// An incident of the status board (seed 2), `incident_…`.
    IncidentId,
    "incident_"
);

impl ServiceId {
    /// The service that is the house's own database.
    pub fn database() -> Self {
        Self("database".into())
    }

    /// The service that is Home Assistant.
    pub fn home_assistant() -> Self {
        Self("homeassistant".into())
    }
}

id!(
    /// A message of seed 4.
    MessageId,
    "message_"
);
id!(
    /// What two sides write each other on one platform.
    ConversationId,
    "conversation_"
);

impl UserId {
    /// A new random id for an admin, `admin_…`.
    pub fn random_admin() -> Self {
        Self(format!("admin_{}", random::text::<16>()).into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_refuse_what_could_hide_in_a_log_or_a_path() {
        for bad in ["", " ", "a b", "line\nbreak", "nul\0", &"x".repeat(129)] {
            assert_eq!(bad.parse::<AreaId>(), Err(InvalidId), "{bad:?}");
        }
        for good in ["kitchen", "area_1", "küche", &"x".repeat(128)] {
            assert_eq!(good.parse::<AreaId>().unwrap().as_str(), good);
        }
    }
}
