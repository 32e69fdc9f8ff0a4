//! What the hub is told of a commit, and in which order it must act on it.

use crate::auth::{Principal, Subject};
use crate::disconnect::EndSessions;
use crate::entity_id::EntityId;
use crate::event::{Announcement, Event, Topic};
use crate::ids::{AreaId, ConnectionId, Jti, OrganizationId, TenantId};

/// A session and a room that it enters or leaves.
#[derive(Debug, Clone)]
pub struct RoomMembership {
    /// Whose session.
    pub subject: Subject,
    /// Which session.
    pub session: ConnectionId,
    /// The room, in the session's namespace.
    pub room: Topic,
}

/// A client and where it belongs from now on.
#[derive(Debug, Clone)]
pub struct ClientTenancy {
    /// Which client.
    pub subject: Subject,
    /// Its organisation.
    pub organization: Option<OrganizationId>,
    /// Its tenant.
    pub tenant: Option<TenantId>,
}

/// What the hub must do after a commit, in this order: joins, events, leaves, then the rest. So a
/// change's own event reaches both the old and the new members (contract 4.4).
#[derive(Debug, Default)]
pub struct Effects {
    /// Areas as they may be seen from now on: with these entities, or none while disabled or gone.
    pub areas: Vec<(AreaId, Vec<EntityId>)>,
    /// Which tablets may see anything at all has changed.
    pub audience_changed: bool,
    /// Who listens on a topic from now on.
    pub joined: Vec<(Subject, Topic)>,
    /// Which session is in a room from now on.
    pub entered: Vec<RoomMembership>,
    /// What happened.
    pub events: Vec<Event>,
    /// Who no longer listens.
    pub left: Vec<(Subject, Topic)>,
    /// Which session is no longer in a room.
    pub exited: Vec<RoomMembership>,
    /// Who is no longer in a room with any session.
    pub expelled: Vec<(Subject, Topic)>,
    /// Open sessions that go on with a new token: the old one, and the principal as it now is.
    pub token_changes: Vec<(Jti, Principal)>,
    /// What whoever is outside may want to know.
    pub announced: Vec<Announcement>,
    /// Clients that belong to another organisation or tenant from now on.
    pub tenancies: Vec<ClientTenancy>,
    /// Whose sessions end.
    pub ended: Vec<EndSessions>,
}

impl Effects {
    /// Whether there is nothing to tell.
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

/// Hears of commits, on the writer's thread, in their order. Must not block.
pub trait CommitListener: Send + Sync + 'static {
    /// One write was committed; `effects` are in the order in which they must be applied.
    fn committed(&self, effects: Effects);
}
