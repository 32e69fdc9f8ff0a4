//! Events as values: type, JSON data, topics, id, and the encoded bytes for each dialect.
//!
//! The module knows no session, store or socket. `history` assigns the id of a durable event before the hub
//! publishes it; after that the event never changes.

mod announcement;
mod encoded;
mod event_type;
mod topic;

use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use serde::Serialize;
use tokio_tungstenite::tungstenite::Utf8Bytes;

pub use announcement::Announcement;
pub use encoded::{direct_json, direct_sse};
pub use event_type::{EventType, InvalidEventType};
pub use topic::{Namespace, Topic};

use crate::clock::Timestamp;
use encoded::Encoded;

/// The id of a durable event. Ids rise by one in commit order; 0 is before the first event.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct EventId(i64);

impl EventId {
    /// Wraps a row id of SQLite. Negative numbers become 0.
    pub fn new(id: i64) -> Self {
        Self(id.max(0))
    }

    /// The id as the integer that is sent to clients.
    pub fn get(self) -> i64 {
        self.0
    }

    /// The preceding id; 0 stays 0.
    pub fn previous(self) -> Self {
        Self::new(self.0 - 1)
    }

    /// The id that the next durable event gets.
    pub fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The text is neither an event id nor a position.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an event id is a whole number, 0 or more")]
pub struct InvalidEventId;

impl std::str::FromStr for EventId {
    type Err = InvalidEventId;

    fn from_str(text: &str) -> Result<Self, InvalidEventId> {
        match text.parse() {
            Ok(id @ 0..) => Ok(Self(id)),
            _ => Err(InvalidEventId),
        }
    }
}

impl rusqlite::ToSql for EventId {
    fn to_sql(&self) -> rusqlite::Result<rusqlite::types::ToSqlOutput<'_>> {
        self.0.to_sql()
    }
}

impl rusqlite::types::FromSql for EventId {
    fn column_result(value: rusqlite::types::ValueRef<'_>) -> rusqlite::types::FromSqlResult<Self> {
        i64::column_result(value).map(Self::new)
    }
}

/// Identifies one history. After a restore the epoch changes, so that an old position cannot match new ids
/// (`docs/protocol.md#replay`).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Epoch(Arc<str>);

impl Epoch {
    /// Draws a new epoch, for a new or restored database.
    pub fn random() -> Self {
        Self(crate::random::text::<9>().into())
    }

    /// Wraps an epoch from the store or from a client's position.
    pub fn from_stored(text: &str) -> Self {
        Self(text.into())
    }

    /// The epoch as text. A generated epoch contains no colon.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A place in the history, formatted as `EPOCH:ID`: the Socket.IO offset and the SSE `id`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Position {
    /// The history to which the id belongs.
    pub epoch: Epoch,
    /// The last event that the client has received.
    pub id: EventId,
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.epoch.as_str(), self.id)
    }
}

impl std::str::FromStr for Position {
    type Err = InvalidEventId;

    fn from_str(text: &str) -> Result<Self, InvalidEventId> {
        let (epoch, id) = text.rsplit_once(':').ok_or(InvalidEventId)?;
        Ok(Self {
            epoch: Epoch::from_stored(epoch),
            id: id.parse()?,
        })
    }
}

/// An event before it is published. A durable one gets its id from `history`.
#[derive(Debug)]
pub struct NewEvent {
    /// The event type.
    pub event_type: EventType,
    /// One JSON object as text.
    pub data: String,
    /// The recipients. A session subscribed to several of the topics receives the event once.
    pub topics: Vec<Topic>,
    /// From this moment on no replay includes the event.
    pub expires_at: Option<Timestamp>,
}

impl NewEvent {
    /// Serialises `data`, which must become a JSON object.
    pub fn new(event_type: EventType, data: &impl Serialize, topics: Vec<Topic>) -> Self {
        Self {
            event_type,
            data: to_json(data),
            topics,
            expires_at: None,
        }
    }

    /// Sets the moment from which on no replay includes the event; `None` for never.
    pub fn expiring(mut self, at: Option<Timestamp>) -> Self {
        self.expires_at = at;
        self
    }
}

/// A published event. Share it by `Arc`: each dialect encodes it once, on first use.
#[derive(Debug)]
pub struct Event {
    event_type: EventType,
    data: String,
    timestamp: Timestamp,
    topics: Vec<Topic>,
    id: Option<EventId>,
    /// The receiver's position after this event. Heartbeats have one too, although they have no id.
    position: Option<Position>,
    /// Of the queued events with the same key only the newest is delivered.
    conflation: Option<Arc<str>>,
    /// When it was published; `None` before that, and for an event read from history.
    published: Option<Instant>,
    encoded: Encoded,
}

impl Event {
    /// A committed event at its position in the history.
    pub fn durable(new: NewEvent, position: Position, timestamp: Timestamp) -> Self {
        Self {
            event_type: new.event_type,
            data: new.data,
            timestamp,
            topics: new.topics,
            id: Some(position.id),
            position: Some(position),
            conflation: None,
            published: None,
            encoded: Encoded::default(),
        }
    }

    /// An event that is delivered to connected sessions only and is never stored.
    pub fn ephemeral(new: NewEvent, timestamp: Timestamp) -> Self {
        Self {
            event_type: new.event_type,
            data: new.data,
            timestamp,
            topics: new.topics,
            id: None,
            position: None,
            conflation: None,
            published: None,
            encoded: Encoded::default(),
        }
    }

    /// Sets the position that receivers have reached with this event, for an event that is not stored itself.
    pub fn with_position(mut self, position: Position) -> Self {
        self.position = Some(position);
        self
    }

    /// Removes the position, so that the event does not change the receiver's position.
    pub fn without_position(mut self) -> Self {
        self.position = None;
        self
    }

    /// Marks the event as the newest state of `key`, for example an entity id: it replaces an older one that is still
    /// queued for a session (`docs/protocol.md#back-pressure`). For ephemeral events only.
    pub fn conflated_by(mut self, key: &str) -> Self {
        self.conflation = Some(key.into());
        self
    }

    /// Sets the time of publication to now, for the latency metrics.
    pub fn published_now(mut self) -> Self {
        self.published = Some(Instant::now());
        self
    }

    /// When the event was published; `None` for an event read from history.
    pub fn published_at(&self) -> Option<Instant> {
        self.published
    }

    /// Whether this is a newer state of the same key and type as `older`.
    pub fn replaces(&self, older: &Self) -> bool {
        self.is_conflated()
            && self.conflation == older.conflation
            && self.event_type == older.event_type
    }

    /// Whether only the newest queued event of its key is delivered.
    pub fn is_conflated(&self) -> bool {
        self.conflation.is_some()
    }

    /// The event type.
    pub fn event_type(&self) -> &EventType {
        &self.event_type
    }

    /// The data: one JSON object as text.
    pub fn data(&self) -> &str {
        &self.data
    }

    /// The id; `None` for an ephemeral event.
    pub fn id(&self) -> Option<EventId> {
        self.id
    }

    /// When the event was committed, or created if it is ephemeral.
    pub fn timestamp(&self) -> Timestamp {
        self.timestamp
    }

    /// The topics. Empty for an event read from history.
    pub fn topics(&self) -> &[Topic] {
        &self.topics
    }

    /// The text frame of the JSON WebSocket (`docs/protocol.md#json-websocket`), encoded once.
    pub fn as_json(&self) -> Utf8Bytes {
        self.encoded.json(self)
    }

    /// The Engine.IO packet for a Socket.IO namespace (`docs/protocol.md#socketio`), encoded once per namespace.
    pub fn as_socketio(&self, namespace: Namespace) -> Utf8Bytes {
        self.encoded.socketio(self, namespace)
    }

    /// The server-sent event (`docs/protocol.md#server-sent-events`), encoded once.
    pub fn as_sse(&self) -> Utf8Bytes {
        self.encoded.sse(self)
    }
}

/// Serialises a value of Wallcast's own types, which cannot fail: keys are strings and no type returns an error.
/// Should it fail nevertheless, the error is logged and the result is `{}`.
pub fn to_json(value: &impl Serialize) -> String {
    match serde_json::to_string(value) {
        Ok(json) => json,
        Err(error) => {
            tracing::error!(%error, "cannot serialise a value to JSON");
            "{}".into()
        }
    }
}
