//! Where an event is addressed (contract section 1, "topic"), as a value and as the text in the store.

use std::fmt;
use std::str::FromStr;

use crate::ids::{
    AreaId, ClientId, InvalidId, OrganizationId, PairingId, RoomName, TenantId, UserId,
};

/// A namespace of a connection: `/`, or one of seed 3's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Namespace {
    /// `/` on Socket.IO; `/` and `/ws` on JSON WebSocket.
    Main,
    /// `/ws/lockers`
    Lockers,
    /// `/ws/help`
    Help,
    /// `/ws/events`
    Events,
}

impl Namespace {
    /// Every namespace; [`Namespace::index`] counts in this order.
    pub const ALL: [Self; 4] = [Self::Main, Self::Lockers, Self::Help, Self::Events];

    /// The Socket.IO name.
    pub fn path(self) -> &'static str {
        match self {
            Self::Main => "/",
            Self::Lockers => "/ws/lockers",
            Self::Help => "/ws/help",
            Self::Events => "/ws/events",
        }
    }

    /// The namespace of that name, if there is one.
    pub fn from_path(path: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|ns| ns.path() == path)
    }

    /// Its place in [`Namespace::ALL`].
    pub fn index(self) -> usize {
        match self {
            Self::Main => 0,
            Self::Lockers => 1,
            Self::Help => 2,
            Self::Events => 3,
        }
    }
}

/// An address that sessions listen on. Who may listen is decided by `auth::entitlement` alone.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Topic {
    /// Every session that has proven who it is, waiting tablets excepted.
    All,
    /// Every admin's session.
    Admins,
    /// One tablet.
    Client(ClientId),
    /// Every tablet that has the area.
    Area(AreaId),
    /// One person.
    User(UserId),
    /// Everyone in the organisation.
    Organization(OrganizationId),
    /// Everyone in the tenant.
    Tenant(TenantId),
    /// Everyone who is both in the organisation and in the tenant.
    Both(OrganizationId, TenantId),
    /// A tablet that waits to be paired.
    Pairing(PairingId),
    /// Every session of a namespace that has proven who it is, waiting tablets excepted.
    Namespace(Namespace),
    /// Sessions of a namespace that entered the room.
    Room(Namespace, RoomName),
}

impl Topic {
    /// A room by its name; none where the name is no room's.
    pub fn room(namespace: Namespace, name: &str) -> Option<Self> {
        let name = name.parse().ok()?;
        Some(Self::Room(namespace, name))
    }
}

impl fmt::Display for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All => f.write_str("all"),
            Self::Admins => f.write_str("admins"),
            Self::Client(id) => write!(f, "client:{id}"),
            Self::Area(id) => write!(f, "area:{id}"),
            Self::User(id) => write!(f, "user:{id}"),
            Self::Organization(id) => write!(f, "org:{id}"),
            Self::Tenant(id) => write!(f, "tenant:{id}"),
            // No id has a space in it.
            Self::Both(organization, tenant) => write!(f, "both:{organization} {tenant}"),
            Self::Pairing(id) => write!(f, "pairing:{id}"),
            Self::Namespace(namespace) => write!(f, "namespace:{}", namespace.path()),
            Self::Room(namespace, name) => write!(f, "room:{}:{name}", namespace.path()),
        }
    }
}

/// A stored topic that this version cannot read.
#[derive(Debug, thiserror::Error)]
#[error("the topic {0:?} is of no known kind")]
pub struct UnknownTopic(String);

impl FromStr for Topic {
    type Err = UnknownTopic;

    fn from_str(text: &str) -> Result<Self, UnknownTopic> {
        let unknown = || UnknownTopic(text.to_owned());
        let invalid = |_: InvalidId| unknown();
        match text.split_once(':') {
            None if text == "all" => Ok(Self::All),
            None if text == "admins" => Ok(Self::Admins),
            Some(("client", id)) => id.parse().map(Self::Client).map_err(invalid),
            Some(("area", id)) => id.parse().map(Self::Area).map_err(invalid),
            Some(("user", id)) => id.parse().map(Self::User).map_err(invalid),
            Some(("org", id)) => id.parse().map(Self::Organization).map_err(invalid),
            Some(("tenant", id)) => id.parse().map(Self::Tenant).map_err(invalid),
            Some(("both", ids)) => {
                let (organization, tenant) = ids.split_once(' ').ok_or_else(unknown)?;
                let organization = organization.parse().map_err(invalid)?;
                let tenant = tenant.parse().map_err(invalid)?;
                Ok(Self::Both(organization, tenant))
            }
            Some(("pairing", id)) => id.parse().map(Self::Pairing).map_err(invalid),
            Some(("namespace", path)) => Namespace::from_path(path)
                .map(Self::Namespace)
                .ok_or_else(unknown),
            Some(("room", rest)) => {
                let (path, name) = rest.split_once(':').ok_or_else(unknown)?;
                let namespace = Namespace::from_path(path).ok_or_else(unknown)?;
                name.parse()
                    .map(|name| Self::Room(namespace, name))
                    .map_err(invalid)
            }
            _ => Err(unknown()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn topics_survive_the_store() {
        for text in [
            "all",
            "admins",
            "client:c1",
            "area:a:b",
            "user:u",
            "org:o",
            "tenant:t",
            "both:o:1 t:2",
            "pairing:p",
            "namespace:/",
            "namespace:/ws/lockers",
            "room:/:kitchen",
            "room:/ws/help:kiosk:1",
        ] {
            assert_eq!(text.parse::<Topic>().unwrap().to_string(), text);
        }
        for text in [
            "",
            "client",
            "client:",
            "planet:mars",
            "both:o",
            "both:o t u",
            "namespace:/nowhere",
            "room:/",
            "room:/x:y",
        ] {
            assert!(text.parse::<Topic>().is_err(), "{text}");
        }
    }
}
