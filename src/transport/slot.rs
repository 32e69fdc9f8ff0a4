//! A session's place in its connection: it must authenticate, or it is live in the hub.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::clock::Timestamp;
use crate::event::{EventId, Namespace};
use crate::hub::{Drained, Ending, Hub, Post, Session};
use crate::ids::ConnectionId;

/// A session's place.
pub(super) struct Slot {
    pub(super) namespace: Namespace,
    pub(super) id: ConnectionId,
    pub(super) state: SlotState,
    /// How far it was told, while it reads on from history instead of its outbox.
    pub(super) behind: Option<EventId>,
}

pub(super) enum SlotState {
    /// It must authenticate; it has been here since then.
    Waiting(Instant),
    /// It is in the hub.
    Live(Arc<Session>),
}

impl Slot {
    pub(super) fn waiting(namespace: Namespace, id: ConnectionId) -> Self {
        Self {
            namespace,
            id,
            state: SlotState::Waiting(Instant::now()),
            behind: None,
        }
    }

    /// Events from `first` on found no place in the outbox: they are read from history.
    pub(super) fn fall_behind(&mut self, first: EventId) {
        if self.behind.is_none() {
            self.behind = Some(first.previous());
        }
    }

    pub(super) fn is_live(&self) -> bool {
        matches!(self.state, SlotState::Live(_))
    }

    /// Whether it is to be closed, so that nothing else may be written for it.
    pub(super) fn has_ended(&self) -> bool {
        matches!(&self.state, SlotState::Live(session) if session.outbox().has_ended())
    }

    /// Whether it reads on from history.
    pub(super) fn is_behind(&self) -> bool {
        self.behind.is_some()
    }

    /// What its outbox has, at most `limit` events; none while it waits.
    pub(super) fn drain(&self, limit: usize) -> Option<Drained> {
        match &self.state {
            SlotState::Live(session) => Some(session.outbox().drain(limit)),
            SlotState::Waiting(_) => None,
        }
    }

    /// A message that was posted to its session.
    pub(super) fn take_post(&self) -> Option<Post> {
        match &self.state {
            SlotState::Live(session) => session.take_post(),
            SlotState::Waiting(_) => None,
        }
    }

    /// Takes the session out of the hub.
    pub(super) fn leave(self, hub: &Hub) {
        if let SlotState::Live(session) = self.state {
            hub.unregister(&session);
        }
    }

    /// When it must be looked at again: its token ends, or its time to authenticate does.
    pub(super) fn deadline(&self, auth_timeout: Duration) -> Option<Instant> {
        match &self.state {
            SlotState::Waiting(since) => Some(*since + auth_timeout),
            SlotState::Live(session) => {
                let left = session.expires_at()?.unix_ms() - Timestamp::now().unix_ms();
                // A day at a time: the clock may be set meanwhile.
                let wait = Duration::from_millis(u64::try_from(left).unwrap_or(0));
                Some(Instant::now() + wait.min(Duration::from_secs(86_400)))
            }
        }
    }

    /// Whether it is live with a token that has ended.
    pub(super) fn has_expired(&self) -> bool {
        match &self.state {
            SlotState::Live(session) => session
                .expires_at()
                .is_some_and(|at| at <= Timestamp::now()),
            SlotState::Waiting(_) => false,
        }
    }

    /// Whether it has waited too long for its token.
    pub(super) fn is_overdue(&self, auth_timeout: Duration) -> bool {
        matches!(&self.state, SlotState::Waiting(since) if Instant::now() >= *since + auth_timeout)
    }

    /// Ends it because its token has (contract 6.2: 4401).
    pub(super) fn expire(&self) {
        if let SlotState::Live(session) = &self.state {
            session.end(Ending::Unauthenticated, None);
        }
    }
}
