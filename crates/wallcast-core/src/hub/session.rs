//! One session: its principal, outbox, inbox and counters.

use std::net::IpAddr;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use super::inbox::{Inbox, PostError, PostedMessage};
use super::metrics::SessionMetrics;
use super::outbox::EnqueueResult;
use super::{ConnectionWriter, Outbox};
use crate::auth::{Principal, Subject};
use crate::clock::Timestamp;
use crate::disconnect::DisconnectReason;
use crate::event::{Event, EventType, Namespace, Topic};
use crate::ids::ConnectionId;
use crate::store::{ClientTenancy, RoomMembership};

/// The key of a session in the registry. Numbers rise and are never reused; they are not public ids.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SessionNumber(u64);

impl SessionNumber {
    /// The number, for a pagination cursor.
    pub fn get(self) -> u64 {
        self.0
    }

    /// Restores a number from a pagination cursor. No session need have it.
    pub fn from_cursor(number: u64) -> Self {
        Self(number)
    }

    fn next() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        Self(NEXT.fetch_add(1, Ordering::Relaxed))
    }
}

/// The wire format of a session (`docs/protocol.md#dialects`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// Socket.IO.
    SocketIo,
    /// JSON WebSocket.
    Json,
    /// Server-sent events.
    Sse,
}

impl Dialect {
    /// The name in logs and lists.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::SocketIo => "socket.io",
            Self::Json => "websocket",
            Self::Sse => "sse",
        }
    }
}

/// An open session: one principal on one connection in one namespace.
#[derive(Debug)]
pub struct Session {
    number: SessionNumber,
    id: ConnectionId,
    subject: Subject,
    /// Changes when the token is refreshed, or the client's organisation or tenant changes.
    principal: Mutex<Principal>,
    /// The principal's `expires_at` in milliseconds since the Unix epoch. The connection's task reads it in every
    /// iteration, so it must not need a lock.
    expires_at: AtomicI64,
    namespace: Namespace,
    dialect: Dialect,
    address: Option<IpAddr>,
    outbox: Outbox,
    inbox: Inbox,
    metrics: SessionMetrics,
    /// The last publication that reached the session, so that an event with several matching topics is delivered once.
    delivered: AtomicU64,
}

impl Session {
    /// Creates a session that is not yet registered. `writer` is the one of its connection.
    pub fn new(
        id: ConnectionId,
        principal: Principal,
        namespace: Namespace,
        dialect: Dialect,
        address: Option<IpAddr>,
        writer: Arc<ConnectionWriter>,
    ) -> Self {
        Self {
            number: SessionNumber::next(),
            id,
            subject: principal.subject.clone(),
            expires_at: AtomicI64::new(expiry_of(&principal)),
            principal: Mutex::new(principal),
            namespace,
            dialect,
            address,
            outbox: Outbox::new(writer),
            inbox: Inbox::default(),
            metrics: SessionMetrics::begin(),
            delivered: AtomicU64::new(0),
        }
    }

    /// The key in the registry.
    pub fn number(&self) -> SessionNumber {
        self.number
    }

    /// The public id, `connectionId`.
    pub fn id(&self) -> &ConnectionId {
        &self.id
    }

    /// The principal's identity, which never changes.
    pub fn subject(&self) -> &Subject {
        &self.subject
    }

    /// The principal with its current token.
    pub fn principal(&self) -> Principal {
        self.principal
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// When the token expires; `None` for never.
    pub fn expires_at(&self) -> Option<Timestamp> {
        let ms = self.expires_at.load(Ordering::Relaxed);
        (ms != i64::MAX).then(|| Timestamp::from_unix_ms(ms))
    }

    /// The namespace in which the session receives events.
    pub fn namespace(&self) -> Namespace {
        self.namespace
    }

    /// The wire format.
    pub fn dialect(&self) -> Dialect {
        self.dialect
    }

    /// The peer's IP address; `None` on the command line's socket.
    pub fn address(&self) -> Option<IpAddr> {
        self.address
    }

    /// Whether both sessions use the same connection, each in its own namespace (`docs/protocol.md#socketio`).
    pub fn shares_connection(&self, other: &Self) -> bool {
        std::ptr::addr_eq(self.outbox.writer(), other.outbox.writer())
    }

    /// Whether one may replace the other: same principal, same namespace.
    pub(super) fn is_duplicate_of(&self, other: &Self) -> bool {
        self.subject == other.subject && self.namespace == other.namespace
    }

    /// The session's membership in a room of its namespace.
    pub fn in_room(&self, room: Topic) -> RoomMembership {
        RoomMembership {
            subject: self.subject.clone(),
            session: self.id.clone(),
            room,
        }
    }

    /// The queue of events to write.
    pub fn outbox(&self) -> &Outbox {
        &self.outbox
    }

    /// The session's counters.
    pub fn metrics(&self) -> &SessionMetrics {
        &self.metrics
    }

    /// Queues a message that was posted over HTTP, and wakes the connection's task to process it.
    ///
    /// # Errors
    /// [`PostError`] if the inbox is full or the session has ended.
    pub fn post(&self, post: PostedMessage) -> Result<(), PostError> {
        self.inbox.push(post)?;
        self.outbox.writer().wake();
        Ok(())
    }

    /// The next posted message, for the connection's task.
    pub fn take_post(&self) -> Option<PostedMessage> {
        self.inbox.take()
    }

    /// Closes the inbox, which releases the callers that wait for a reply.
    pub(super) fn close_inbox(&self) {
        self.inbox.close();
    }

    /// Continues the session with a refreshed token.
    pub fn set_principal(&self, principal: Principal) {
        self.expires_at
            .store(expiry_of(&principal), Ordering::Relaxed);
        *self
            .principal
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = principal;
        self.outbox.writer().wake();
    }

    /// Sets the organisation and tenant of the session's client.
    pub(super) fn set_tenancy(&self, tenancy: &ClientTenancy) {
        let mut principal = self
            .principal
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        principal.organization_id.clone_from(&tenancy.organization);
        principal.tenant_id.clone_from(&tenancy.tenant);
    }

    /// Ends the session: empties the outbox and wakes the connection's task to close. Once this returns, nothing but
    /// the final event and the close is written for it.
    pub fn end(&self, reason: DisconnectReason, final_event: Option<Arc<Event>>) {
        self.end_with(&[], reason, final_event);
    }

    /// Like [`Session::end`], and also ends those of `others` that share its connection. The connection's task sees all
    /// of them end or none.
    pub(super) fn end_with(
        &self,
        others: &[Arc<Self>],
        reason: DisconnectReason,
        final_event: Option<Arc<Event>>,
    ) {
        let writer = self.outbox.writer();
        {
            let mut writer = writer.lock();
            let mut is_new = self.outbox.end(reason, final_event.clone());
            for other in others.iter().filter(|other| self.shares_connection(other)) {
                is_new |= other.outbox.end(reason, final_event.clone());
            }
            // A repeated call must not discard the final event that the task may have queued by now.
            if is_new {
                writer.discard_pending();
            }
        }
        writer.wake();
    }

    /// Queues an event, unless this publication has reached the session already or its namespace does not receive the
    /// type.
    pub(super) fn enqueue(&self, event: &Arc<Event>, publication: u64) -> EnqueueResult {
        match self.accepts(event.event_type(), publication) {
            true => self.outbox.push(event),
            false => EnqueueResult::Refused,
        }
    }

    /// Whether the namespace receives the type and this publication has not reached the session before. Marks it as
    /// reached.
    pub(super) fn accepts(&self, event_type: &EventType, publication: u64) -> bool {
        self.delivered.swap(publication, Ordering::Relaxed) != publication
            && event_type.is_delivered_in(self.namespace)
    }
}

fn expiry_of(principal: &Principal) -> i64 {
    principal.expires_at.map_or(i64::MAX, Timestamp::unix_ms)
}
