//! A session's place in its connection: it must authenticate, or it is live in the hub.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::app::App;
use crate::auth::Subject;
use crate::clock::Timestamp;
use crate::event::{EventId, Namespace};
use crate::history;
use crate::hub::{Drained, Ending, Post, Session};
use crate::ids::ConnectionId;
use crate::store::StoreError;

/// A session's place.
pub(super) struct Slot {
    pub(super) namespace: Namespace,
    pub(super) id: ConnectionId,
    pub(super) state: SlotState,
    /// The event after which it was told everything of its own that is not in `behind`.
    told_after: EventId,
    /// Whether it may be in rooms, whose memory outlives it.
    pub(super) has_rooms: bool,
    /// What it reads from history, in this order, before it takes from its outbox again.
    behind: VecDeque<Behind>,
}

/// A stretch of history that a session has yet to be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Behind {
    /// It was told, or looked through, as far as this event.
    pub(super) reached: EventId,
    /// Its last event; without one it goes on to wherever live events begin.
    pub(super) until: Option<EventId>,
}

pub(super) enum SlotState {
    /// It must authenticate; it has been here since then.
    Waiting(Instant),
    /// It is in the hub.
    Live(Arc<Session>),
}

impl Slot {
    /// A session that has to authenticate, as others had since `since`.
    pub(super) fn waiting(namespace: Namespace, id: ConnectionId, since: Instant) -> Self {
        Self {
            namespace,
            id,
            state: SlotState::Waiting(since),
            told_after: EventId::default(),
            has_rooms: false,
            behind: VecDeque::new(),
        }
    }

    /// It is live: told everything after this event.
    pub(super) fn begin(&mut self, session: Arc<Session>, after: EventId) {
        self.state = SlotState::Live(session);
        self.told_after = after;
    }

    /// Events after this one found no place in the outbox: they are read from history.
    pub(super) fn fall_behind(&mut self, reached: EventId) {
        let until = None;
        self.behind.push_back(Behind { reached, until });
    }

    /// Goes back to an earlier event: what came after it and was not told yet is read from history.
    pub(super) fn rewind(&mut self, to: EventId) {
        if to < self.told_after {
            self.behind.push_front(Behind {
                reached: to,
                until: Some(self.told_after),
            });
            self.told_after = to;
        }
    }

    /// The stretch of history that is to be told next.
    pub(super) fn behind(&mut self) -> Option<&mut Behind> {
        self.behind.front_mut()
    }

    /// The stretch that was told next is told whole.
    pub(super) fn caught_up(&mut self) {
        self.behind.pop_front();
    }

    pub(super) fn is_live(&self) -> bool {
        matches!(self.state, SlotState::Live(_))
    }

    /// Its session, once that is live.
    pub(super) fn session(&self) -> Option<&Arc<Session>> {
        match &self.state {
            SlotState::Live(session) => Some(session),
            SlotState::Waiting(_) => None,
        }
    }

    /// Whose it is, once that is proven.
    pub(super) fn subject(&self) -> Option<&Subject> {
        match &self.state {
            SlotState::Live(session) => Some(session.subject()),
            SlotState::Waiting(_) => None,
        }
    }

    /// Whether it is to be closed, so that nothing else may be written for it.
    pub(super) fn has_ended(&self) -> bool {
        matches!(&self.state, SlotState::Live(session) if session.outbox().has_ended())
    }

    /// Whether it reads on from history.
    pub(super) fn is_behind(&self) -> bool {
        !self.behind.is_empty()
    }

    /// What its outbox has, at most `limit` events; none while it waits or reads from history.
    pub(super) fn drain(&self, limit: usize) -> Option<Drained> {
        match &self.state {
            SlotState::Live(session) if !self.is_behind() || self.has_ended() => {
                Some(session.outbox().drain(limit))
            }
            SlotState::Live(_) | SlotState::Waiting(_) => None,
        }
    }

    /// A message that was posted to its session.
    pub(super) fn take_post(&self) -> Option<Post> {
        match &self.state {
            SlotState::Live(session) => session.take_post(),
            SlotState::Waiting(_) => None,
        }
    }

    /// Takes the session out of the hub. Its rooms are kept until it comes back, or for as long as
    /// the history.
    pub(super) fn leave(self, app: &Arc<App>) {
        let SlotState::Live(session) = self.state else {
            return;
        };
        app.hub.unregister(&session);
        if self.has_rooms {
            let (store, id) = (app.store.clone(), session.id().clone());
            tokio::spawn(async move {
                let ended = store.write(move |tx| {
                    history::set_session_end(tx.connection(), &id, Some(tx.now()))?;
                    Ok::<_, StoreError>(())
                });
                if let Err(error) = ended.await {
                    // The next start counts it as ended.
                    tracing::debug!(%error, "the end of a session with rooms was not stored");
                }
            });
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
