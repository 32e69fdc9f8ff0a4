//! What happened, as a value: an event, its id, its type and the topics it is addressed to.
//!
//! Knows no session, no store and no socket. An event gets its id from `history`, is offered to
//! the hub only after that, and never changes again.

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

/// The place of a durable event in the order of commits; 0 stands before the first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct EventId(i64);

impl EventId {
    /// From SQLite's row id; never negative.
    pub fn new(id: i64) -> Self {
        Self(id.max(0))
    }

    /// The id as the JSON integer that it is on the wire.
    pub fn get(self) -> i64 {
        self.0
    }

    /// The id before this one.
    pub fn previous(self) -> Self {
        Self::new(self.0 - 1)
    }

    /// The id that the next commit will give.
    pub fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A text that is no event id.
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

/// Which history an event id belongs to; another epoch means other ids (contract 4.4).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Epoch(Arc<str>);

impl Epoch {
    /// A new random epoch, for a new house or a restored one.
    pub fn random() -> Self {
        Self(crate::random::text::<9>().into())
    }

    /// From the store.
    pub fn from_stored(text: &str) -> Self {
        Self(text.into())
    }

    /// The epoch as text; holds no colon, so that `EPOCH:ID` parses one way.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A durable event's place in history: `EPOCH:ID`, the Socket.IO offset and SSE id (contract 1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Position {
    /// The history that the id belongs to.
    pub epoch: Epoch,
    /// The event.
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

/// An event that a change is about to make durable; `history` gives it its id.
#[derive(Debug)]
pub struct NewEvent {
    /// Its type.
    pub kind: EventType,
    /// Its data: the text of one JSON object.
    pub data: String,
    /// Whom it is for; several matching topics give one delivery.
    pub topics: Vec<Topic>,
    /// From when on it is replayed to nobody.
    pub expires_at: Option<Timestamp>,
}

impl NewEvent {
    /// An event whose data is `data` as JSON, which must be a JSON object.
    pub fn new(kind: EventType, data: &impl Serialize, topics: Vec<Topic>) -> Self {
        Self {
            kind,
            data: to_json(data),
            topics,
            expires_at: None,
        }
    }

    /// The same, of no use to whoever comes back after this moment (contract 4.4).
    pub fn expiring(mut self, at: Option<Timestamp>) -> Self {
        self.expires_at = at;
        self
    }
}

/// An event on its way to sessions. Cheap to share; each dialect's bytes are made once, on demand.
#[derive(Debug)]
pub struct Event {
    kind: EventType,
    data: String,
    timestamp: Timestamp,
    topics: Vec<Topic>,
    id: Option<EventId>,
    /// Where a session that has heard this stands (also on heartbeats, which have no id).
    position: Option<Position>,
    /// Of the events of one key that wait for a session only the newest counts.
    conflation: Option<Arc<str>>,
    /// When it was handed to the sessions; none while it was not, or when it was read from history.
    published: Option<Instant>,
    encoded: Encoded,
}

impl Event {
    /// A committed event.
    pub fn durable(new: NewEvent, position: Position, timestamp: Timestamp) -> Self {
        Self {
            kind: new.kind,
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

    /// An event told only to who is there.
    pub fn ephemeral(new: NewEvent, timestamp: Timestamp) -> Self {
        Self {
            kind: new.kind,
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

    /// The same, moving the hearer's position on although it is not stored itself.
    pub fn with_position(mut self, position: Position) -> Self {
        self.position = Some(position);
        self
    }

    /// The same, leaving the hearer's position where it is.
    pub fn without_position(mut self) -> Self {
        self.position = None;
        self
    }

    /// The same as the newest state of `key`, such as an entity: it takes the place of an older one
    /// that still waits for a session (contract 4.6). For ephemeral events alone.
    pub fn conflated_by(mut self, key: &str) -> Self {
        self.conflation = Some(key.into());
        self
    }

    /// The same, handed to the sessions now: right after its commit, if it has one.
    pub fn published_now(mut self) -> Self {
        self.published = Some(Instant::now());
        self
    }

    /// When it was handed to the sessions that were there; none for what is read from history.
    pub fn published_at(&self) -> Option<Instant> {
        self.published
    }

    /// Whether this is a newer state of what `older` tells.
    pub fn replaces(&self, older: &Self) -> bool {
        self.is_conflated() && self.conflation == older.conflation && self.kind == older.kind
    }

    /// Whether it tells a state of which only the newest counts.
    pub fn is_conflated(&self) -> bool {
        self.conflation.is_some()
    }

    /// Its type.
    pub fn event_type(&self) -> &EventType {
        &self.kind
    }

    /// Its data as JSON text.
    pub fn data(&self) -> &str {
        &self.data
    }

    /// Its id; none when ephemeral.
    pub fn id(&self) -> Option<EventId> {
        self.id
    }

    /// When it was committed or made.
    pub fn timestamp(&self) -> Timestamp {
        self.timestamp
    }

    /// Whom it is for.
    pub fn topics(&self) -> &[Topic] {
        &self.topics
    }

    /// Its JSON WebSocket text frame (contract 4.2), made once.
    pub fn as_json(&self) -> Utf8Bytes {
        self.encoded.json(self)
    }

    /// Its Engine.IO packet for a Socket.IO namespace (contract 4.1), made once for each.
    pub fn as_socketio(&self, namespace: Namespace) -> Utf8Bytes {
        self.encoded.socketio(self, namespace)
    }

    /// Its server-sent event (contract 4.3), made once.
    pub fn as_sse(&self) -> Utf8Bytes {
        self.encoded.sse(self)
    }
}

/// JSON of a value whose serialisation cannot fail (string keys, no custom errors).
pub fn to_json(value: &impl Serialize) -> String {
    match serde_json::to_string(value) {
        Ok(json) => json,
        Err(error) => {
            tracing::error!(%error, "a value of our own did not serialise");
            "{}".into()
        }
    }
}
