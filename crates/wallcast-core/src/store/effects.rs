//! What a commit listener must do after a commit, and in which order.

use crate::auth::{Principal, Subject};
use crate::disconnect::EndSessions;
use crate::entity_id::EntityId;
use crate::event::{Announcement, Event, Topic};
use crate::ids::{AreaId, ConnectionId, Jti, OrganizationId, TenantId};

/// A session and a room that it joins or leaves.
#[derive(Debug, Clone)]
pub struct RoomMembership {
    /// The principal of the session.
    pub subject: Subject,
    /// The session.
    pub session: ConnectionId,
    /// The room, in the session's namespace.
    pub room: Topic,
}

/// The organisation and tenant to which a client belongs from now on.
#[derive(Debug, Clone)]
pub struct ClientTenancy {
    /// The client.
    pub subject: Subject,
    /// The organisation.
    pub organization: Option<OrganizationId>,
    /// The tenant.
    pub tenant: Option<TenantId>,
}

/// What a [`CommitListener`] must do after a commit. The hub applies joins first, then events, then leaves, then the
/// rest, so that a change's own events reach both the old and the new members of a topic (`docs/protocol.md#replay`).
#[derive(Debug, Default)]
pub struct Effects {
    /// Areas and their visible entities from now on; no entities if the area is disabled or deleted. The hub does not
    /// need them; the application's cache of entity states does.
    pub areas: Vec<(AreaId, Vec<EntityId>)>,
    /// Whether the set of tablets that may see any entity changed. Not for the hub either.
    pub audience_changed: bool,
    /// Principals subscribed to a topic from now on.
    pub joined: Vec<(Subject, Topic)>,
    /// Sessions that join a room.
    pub entered: Vec<RoomMembership>,
    /// Events to publish.
    pub events: Vec<Event>,
    /// Principals no longer subscribed to a topic.
    pub left: Vec<(Subject, Topic)>,
    /// Sessions that leave a room.
    pub exited: Vec<RoomMembership>,
    /// Principals whose sessions all leave a room.
    pub expelled: Vec<(Subject, Topic)>,
    /// Sessions whose token was refreshed: the old token, and the principal with the new one.
    pub token_changes: Vec<(Jti, Principal)>,
    /// Announcements for automations outside Wallcast.
    pub announced: Vec<Announcement>,
    /// Clients that belong to another organisation or tenant from now on.
    pub tenancies: Vec<ClientTenancy>,
    /// Sessions to end.
    pub ended: Vec<EndSessions>,
}

impl Effects {
    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.areas.is_empty()
            && !self.audience_changed
            && self.joined.is_empty()
            && self.events.is_empty()
            && self.left.is_empty()
            && self.entered.is_empty()
            && self.exited.is_empty()
            && self.expelled.is_empty()
            && self.token_changes.is_empty()
            && self.announced.is_empty()
            && self.tenancies.is_empty()
            && self.ended.is_empty()
    }
}

/// Receives commits on the writer thread, in commit order.
pub trait CommitListener: Send + Sync + 'static {
    /// Applies the effects of one committed write. Must not block: the writer thread waits for it.
    fn committed(&self, effects: Effects);
}
