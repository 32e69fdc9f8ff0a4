//! Broadcasts: an admin publishes an event of a custom type, or one of the status board's, to chosen recipients
//! (`docs/protocol.md#broadcast`).
//!
//! Broadcasts are durable: a client that is offline receives them when it resumes.

mod events;

use rusqlite::Connection;
use serde_json::{Map, Value};
use wallcast_core::audit::{self, Actor};
use wallcast_core::event::{EventType, Namespace, Topic};
use wallcast_core::hub::Hub;
use wallcast_core::ids::{ClientId, OrganizationId, RoomName, TenantId, UserId};
use wallcast_core::store::{StoreError, WriteTx};

use crate::clients;
use crate::rooms::{self, RoomRef};

#[derive(Clone, Debug)]
pub struct Broadcast {
    /// A custom type, or one of the status board's three.
    pub event_type: EventType,
    pub data: Map<String, Value>,
    pub recipients: Recipients,
}

/// The sessions that receive a broadcast.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Recipients {
    /// Every authenticated session.
    All,
    /// Every session of a namespace.
    Namespace(Namespace),
    /// The sessions of a namespace that have joined a room.
    Room(Namespace, RoomName),
    /// The clients that have an area and the sessions that have joined its room. A name that is no area's means a room
    /// of the namespace `/`.
    Area(RoomRef),
    /// All sessions of a client.
    Client(ClientId),
    /// All sessions of a user.
    User(UserId),
    /// The sessions that see the organisation's status board.
    Organization(OrganizationId),
    Tenant(TenantId),
    /// The sessions that belong to both.
    Both(OrganizationId, TenantId),
}

impl Recipients {
    fn is_board(&self) -> bool {
        matches!(
            self,
            Self::Organization(_) | Self::Tenant(_) | Self::Both(..)
        )
    }
}

#[derive(Debug, thiserror::Error)]
pub enum BroadcastError {
    /// No area has this integer id.
    #[error("There is no room {0}")]
    UnknownRoom(i64),
    #[error("There is no client {0}")]
    UnknownClient(ClientId),
    /// The namespace has a fixed set of event types, and this one is not among them.
    #[error("{path} does not deliver events of type {0}; use a custom type", path = .1.path())]
    NotDelivered(EventType, Namespace),
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<rusqlite::Error> for BroadcastError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Store(error.into())
    }
}

/// Publishes the broadcast and returns how many sessions are open now that receive it.
///
/// # Errors
/// [`BroadcastError`]; nothing is published then.
pub fn publish(
    tx: &mut WriteTx<'_>,
    hub: &Hub,
    broadcast: Broadcast,
    actor: &Actor,
) -> Result<usize, BroadcastError> {
    let Broadcast {
        event_type,
        data,
        recipients,
    } = broadcast;
    if let Recipients::Namespace(namespace) | Recipients::Room(namespace, _) = recipients
        && !event_type.is_delivered_in(namespace)
    {
        return Err(BroadcastError::NotDelivered(event_type, namespace));
    }
    let is_board = recipients.is_board();
    let mut topics = topics(tx.connection(), recipients)?;
    if is_board && !event_type.is_custom() {
        // Admins receive the board events of every organisation.
        topics.push(Topic::Admins);
    }
    let target: Vec<_> = topics.iter().map(Topic::to_string).collect();
    audit::record(
        tx,
        actor,
        "event.broadcast",
        Some(&target.join(",")),
        event_type.as_str(),
    )?;
    let sessions = hub.recipient_count(&event_type, &topics);
    tx.publish(events::broadcast(event_type, data, topics, tx.now()))?;
    Ok(sessions)
}

fn topics(db: &Connection, recipients: Recipients) -> Result<Vec<Topic>, BroadcastError> {
    let topic = match recipients {
        Recipients::All => Topic::All,
        Recipients::Namespace(namespace) => Topic::Namespace(namespace),
        Recipients::Room(namespace, room) => Topic::Room(namespace, room),
        Recipients::Area(room) => return room_topics(db, room),
        Recipients::Client(id) => match clients::find(db, &id)? {
            Some(client) => Topic::Client(client.id),
            None => return Err(BroadcastError::UnknownClient(id)),
        },
        Recipients::User(id) => Topic::User(id),
        Recipients::Organization(id) => Topic::Organization(id),
        Recipients::Tenant(id) => Topic::Tenant(id),
        Recipients::Both(organization, tenant) => Topic::OrganizationTenant(organization, tenant),
    };
    Ok(vec![topic])
}

fn room_topics(db: &Connection, room: RoomRef) -> Result<Vec<Topic>, BroadcastError> {
    let (area, name) = match room {
        RoomRef::Number(number) => {
            let area = rooms::area_by_number(db, number)?;
            let area = area.ok_or(BroadcastError::UnknownRoom(number))?;
            let name = area.as_str().parse().ok();
            (Some(area), name)
        }
        RoomRef::Name(name) => (name.as_str().parse().ok(), Some(name)),
    };
    let room = name.map(|name| Topic::Room(Namespace::Main, name));
    Ok(area.map(Topic::Area).into_iter().chain(room).collect())
}
