//! Broadcasts (seeds 1, 2 and 3): an admin tells an event of a type of its own, and to whom.
//!
//! Durable, as every message that a person sends: a tablet that slept gets it when it is back.

mod events;

use rusqlite::Connection;
use serde_json::{Map, Value};

use crate::areas;
use crate::clients;
use crate::rooms::RoomNamed;
use wallcast_core::audit::{self, Actor};
use wallcast_core::event::{EventType, Namespace, Topic};
use wallcast_core::hub::Hub;
use wallcast_core::ids::{ClientId, OrganizationId, RoomName, TenantId, UserId};
use wallcast_core::store::{StoreError, WriteTx};

/// What an admin has to tell.
#[derive(Clone, Debug)]
pub struct Broadcast {
    /// A custom type, or one of seed 2's three.
    pub kind: EventType,
    /// Its data.
    pub data: Map<String, Value>,
    /// For whom.
    pub audience: Audience,
}

/// Whom a broadcast is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Audience {
    /// Every session that has proven who it is.
    All,
    /// Every session of a namespace (seed 3).
    Namespace(Namespace),
    /// The sessions of a namespace that are in a room (seed 3).
    Room(Namespace, RoomName),
    /// Whoever has the area, and whoever subscribed its room (seeds 0 and 1); any other room of `/`
    /// by its name.
    Area(RoomNamed),
    /// One client, in all its sessions (seed 0).
    Client(ClientId),
    /// One person, in all its sessions.
    User(UserId),
    /// An organisation's sessions (seed 2).
    Organization(OrganizationId),
    /// A tenant's.
    Tenant(TenantId),
    /// Those that have both.
    Both(OrganizationId, TenantId),
}

impl Audience {
    /// Whether a board of seed 2 is for these.
    fn is_of_a_board(&self) -> bool {
        matches!(
            self,
            Self::Organization(_) | Self::Tenant(_) | Self::Both(..)
        )
    }
}

/// Why nothing was told.
#[derive(Debug, thiserror::Error)]
pub enum BroadcastError {
    /// No area has this number.
    #[error("There is no room {0}")]
    UnknownRoom(i64),
    /// There is no such client.
    #[error("There is no client {0}")]
    UnknownClient(ClientId),
    /// A namespace of seed 3 would not let its sessions hear it.
    #[error("{0} is not heard in {path}; use a type of your own", path = .1.path())]
    Unheard(EventType, Namespace),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<rusqlite::Error> for BroadcastError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Store(error.into())
    }
}

/// Tells it, and says how many sessions are there to hear it now.
///
/// # Errors
/// [`BroadcastError`]; then nobody is told.
pub fn tell(
    tx: &mut WriteTx<'_>,
    hub: &Hub,
    broadcast: Broadcast,
    actor: &Actor,
) -> Result<usize, BroadcastError> {
    let Broadcast {
        kind,
        data,
        audience,
    } = broadcast;
    if let Audience::Namespace(namespace) | Audience::Room(namespace, _) = audience
        && !kind.is_delivered_in(namespace)
    {
        return Err(BroadcastError::Unheard(kind, namespace));
    }
    let is_of_a_board = audience.is_of_a_board();
    let mut topics = topics(tx.connection(), audience)?;
    if is_of_a_board && !kind.is_custom() {
        // Admins hear of every board (contract section 5).
        topics.push(Topic::Admins);
    }
    let shown: Vec<_> = topics.iter().map(Topic::to_string).collect();
    audit::record(
        tx,
        actor,
        "event.broadcast",
        Some(&shown.join(",")),
        kind.as_str(),
    )?;
    let sessions = hub.audience(&kind, &topics);
    tx.publish(events::broadcast(kind, data, topics, tx.now()))?;
    Ok(sessions)
}

fn topics(db: &Connection, audience: Audience) -> Result<Vec<Topic>, BroadcastError> {
    let topic = match audience {
        Audience::All => Topic::All,
        Audience::Namespace(namespace) => Topic::Namespace(namespace),
        Audience::Room(namespace, room) => Topic::Room(namespace, room),
        Audience::Area(room) => return room_topics(db, room),
        Audience::Client(id) => match clients::find(db, &id)? {
            Some(client) => Topic::Client(client.id),
            None => return Err(BroadcastError::UnknownClient(id)),
        },
        Audience::User(id) => Topic::User(id),
        Audience::Organization(id) => Topic::Organization(id),
        Audience::Tenant(id) => Topic::Tenant(id),
        Audience::Both(organization, tenant) => Topic::Both(organization, tenant),
    };
    Ok(vec![topic])
}

fn room_topics(db: &Connection, room: RoomNamed) -> Result<Vec<Topic>, BroadcastError> {
    let (area, name) = match room {
        RoomNamed::Number(number) => {
            let area = areas::find_by_room(db, number)?;
            let area = area.ok_or(BroadcastError::UnknownRoom(number))?;
            let name = area.id.as_str().parse().ok();
            (Some(area.id), name)
        }
        RoomNamed::Name(name) => (name.as_str().parse().ok(), Some(name)),
    };
    let room = name.map(|name| Topic::Room(Namespace::Main, name));
    Ok(area.map(Topic::Area).into_iter().chain(room).collect())
}
