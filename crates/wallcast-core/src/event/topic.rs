//! Namespaces, and the topics to which events are published, with their text form in the store.

use std::fmt;
use std::str::FromStr;

use crate::ids::{
    AreaId, ClientId, InvalidId, OrganizationId, PairingId, RoomName, TenantId, UserId,
};

/// A namespace of a connection: the main one, or one of the kiosk namespaces.
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
    /// Every namespace, in the order of [`Namespace::index`].
    pub const ALL: [Self; 4] = [Self::Main, Self::Lockers, Self::Help, Self::Events];

    /// The namespace's name on Socket.IO.
    pub fn path(self) -> &'static str {
        match self {
            Self::Main => "/",
            Self::Lockers => "/ws/lockers",
            Self::Help => "/ws/help",
            Self::Events => "/ws/events",
        }
    }

    /// The namespace with this name.
    pub fn from_path(path: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|ns| ns.path() == path)
    }

    /// The index in [`Namespace::ALL`].
    pub fn index(self) -> usize {
        match self {
            Self::Main => 0,
            Self::Lockers => 1,
            Self::Help => 2,
            Self::Events => 3,
        }
    }
}

/// A topic that sessions subscribe to. Which principal may subscribe to which topic is decided above this crate.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Topic {
    /// Every authenticated session, except those of tablets that are waiting to be paired.
    All,
    /// Every session of an admin.
    Admins,
    /// One tablet.
    Client(ClientId),
    /// Every tablet to which the area is assigned.
    Area(AreaId),
    /// One person.
    User(UserId),
    /// Everyone in the organisation.
    Organization(OrganizationId),
    /// Everyone in the tenant.
    Tenant(TenantId),
    /// Everyone who is in both the organisation and the tenant.
    OrganizationTenant(OrganizationId, TenantId),
    /// A tablet that is waiting to be paired.
    Pairing(PairingId),
    /// Every authenticated session of a namespace, except those of tablets that are waiting to be paired.
    Namespace(Namespace),
    /// The sessions in a room of a namespace.
    Room(Namespace, RoomName),
}

impl Topic {
    /// The topic of a room, or `None` if `name` is not a valid room name.
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
            // Ids contain no space, so it separates them.
            Self::OrganizationTenant(organization, tenant) => {
                write!(f, "both:{organization} {tenant}")
            }
            Self::Pairing(id) => write!(f, "pairing:{id}"),
            Self::Namespace(namespace) => write!(f, "namespace:{}", namespace.path()),
            Self::Room(namespace, name) => write!(f, "room:{}:{name}", namespace.path()),
        }
    }
}

/// A topic in the store that this version cannot parse.
#[derive(Debug, thiserror::Error)]
#[error("the topic {0:?} is not of a known type")]
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
                Ok(Self::OrganizationTenant(organization, tenant))
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
    fn topic_text_round_trips() {
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
