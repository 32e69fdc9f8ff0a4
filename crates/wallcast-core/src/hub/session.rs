//! An open session as the hub knows it: who it is and the outbox in which its events wait.

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

/// Where a peer comes from.
pub type Address = IpAddr;

/// The registry's key: internal, rising, never used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SessionNumber(u64);

impl SessionNumber {
    /// As it stands in a cursor.
    pub fn get(self) -> u64 {
        self.0
    }

    /// From a cursor; perhaps nobody's.
    pub fn from_cursor(number: u64) -> Self {
        Self(number)
    }

    fn next() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        Self(NEXT.fetch_add(1, Ordering::Relaxed))
    }
}

/// How a session speaks (contract section 1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// Socket.IO (contract 4.1).
    SocketIo,
    /// JSON WebSocket (contract 4.2).
    Json,
    /// Server-sent events (contract 4.3).
    Sse,
}

impl Dialect {
    /// Its name in logs and lists.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::SocketIo => "socket.io",
            Self::Json => "websocket",
            Self::Sse => "sse",
        }
    }
}

/// One open connection of a principal in one namespace.
#[derive(Debug)]
pub struct Session {
    number: SessionNumber,
    id: ConnectionId,
    subject: Subject,
    /// Changes when the token is refreshed under an open session, or its client is moved.
    principal: Mutex<Principal>,
    /// The principal's `expires_at` in Unix milliseconds, for the loop that asks at every turn.
    expires_at: AtomicI64,
    namespace: Namespace,
    dialect: Dialect,
    address: Option<Address>,
    outbox: Outbox,
    inbox: Inbox,
    metrics: SessionMetrics,
    /// The last publication that reached it, so that several matching topics give one delivery.
    delivered: AtomicU64,
}

impl Session {
    /// A session that waits to be registered. `writer` is its connection's.
    pub fn new(
        id: ConnectionId,
        principal: Principal,
        namespace: Namespace,
        dialect: Dialect,
        address: Option<Address>,
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

    /// The registry's key.
    pub fn number(&self) -> SessionNumber {
        self.number
    }

    /// What the outside calls it: `connectionId`.
    pub fn id(&self) -> &ConnectionId {
        &self.id
    }

    /// Whose session it is.
    pub fn subject(&self) -> &Subject {
        &self.subject
    }

    /// Who, with the token that stands now.
    pub fn principal(&self) -> Principal {
        self.principal
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// When its token ends, if ever.
    pub fn expires_at(&self) -> Option<Timestamp> {
        let ms = self.expires_at.load(Ordering::Relaxed);
        (ms != i64::MAX).then(|| Timestamp::from_unix_ms(ms))
    }

    /// Which namespace it hears.
    pub fn namespace(&self) -> Namespace {
        self.namespace
    }

    /// How it speaks.
    pub fn dialect(&self) -> Dialect {
        self.dialect
    }

    /// Where it comes from; none on the command line's socket.
    pub fn address(&self) -> Option<Address> {
        self.address
    }

    /// Whether both are of one connection: each of its namespaces is a session (contract 4.1).
    pub fn shares_connection(&self, other: &Self) -> bool {
        std::ptr::addr_eq(self.outbox.writer(), other.outbox.writer())
    }

    /// Whether the other may take its place: the same principal's, in the same namespace.
    pub(super) fn is_duplicate_of(&self, other: &Self) -> bool {
        self.subject == other.subject && self.namespace == other.namespace
    }

    /// This session's membership of a room in its namespace.
    pub fn in_room(&self, room: Topic) -> RoomMembership {
        RoomMembership {
            subject: self.subject.clone(),
            session: self.id.clone(),
            room,
        }
    }

    /// What waits to be written to it.
    pub fn outbox(&self) -> &Outbox {
        &self.outbox
    }

    /// What went to it and came from it.
    pub fn metrics(&self) -> &SessionMetrics {
        &self.metrics
    }

    /// Has the connection's task act on a message that came by another way.
    ///
    /// # Errors
    /// When too many wait already, or the session has ended.
    pub fn post(&self, post: PostedMessage) -> Result<(), PostError> {
        self.inbox.push(post)?;
        self.outbox.writer().wake();
        Ok(())
    }

    /// The next message that was posted; for the connection's task.
    pub fn take_post(&self) -> Option<PostedMessage> {
        self.inbox.take()
    }

    /// Lets go whoever waits for an answer of this session.
    pub(super) fn close_inbox(&self) {
        self.inbox.close();
    }

    /// Goes on with a refreshed token.
    pub fn set_principal(&self, principal: Principal) {
        self.expires_at
            .store(expiry_of(&principal), Ordering::Relaxed);
        *self
            .principal
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = principal;
        self.outbox.writer().wake();
    }

    /// Says from now on that its client belongs there.
    pub(super) fn set_tenancy(&self, moved: &ClientTenancy) {
        let mut principal = self
            .principal
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        principal.organization_id.clone_from(&moved.organization);
        principal.tenant_id.clone_from(&moved.tenant);
    }

    /// Empties the outbox and has the connection's task close the session. Once this has returned,
    /// nothing is handed to the kernel for it but what the end itself says.
    pub fn end(&self, reason: DisconnectReason, final_event: Option<Arc<Event>>) {
        self.end_with(&[], reason, final_event);
    }

    /// The same for this session and those of `others` that share its connection, in one moment:
    /// its task sees all of them end or none.
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
            // Said again, it would take back the last words that the task has laid out meanwhile.
            if is_new {
                writer.discard_pending();
            }
        }
        writer.wake();
    }

    /// Queues an event unless this publication has reached the session already or its namespace
    /// does not hear the type.
    pub(super) fn enqueue(&self, event: &Arc<Event>, publication: u64) -> EnqueueResult {
        match self.accepts(event.event_type(), publication) {
            true => self.outbox.push(event),
            false => EnqueueResult::Refused,
        }
    }

    /// Whether its namespace hears the type, and this publication has not reached it before.
    pub(super) fn accepts(&self, event_type: &EventType, publication: u64) -> bool {
        self.delivered.swap(publication, Ordering::Relaxed) != publication
            && event_type.is_delivered_in(self.namespace)
    }
}

fn expiry_of(principal: &Principal) -> i64 {
    principal.expires_at.map_or(i64::MAX, Timestamp::unix_ms)
}
