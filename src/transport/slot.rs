//! A session's place in its connection: it must authenticate, or it is live in the hub.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::feed::Feed;
use crate::app::App;
use crate::auth::Subject;
use crate::clock::Timestamp;
use crate::event::{Event, EventId, Namespace};
use crate::hub::{Drained, Ending, Post, Session};
use crate::ids::ConnectionId;
use crate::rooms;

const DAY: Duration = Duration::from_secs(86_400);

/// A session's place.
pub(super) struct Slot {
    pub(super) namespace: Namespace,
    pub(super) id: ConnectionId,
    pub(super) state: SlotState,
    /// When its token ends, by both clocks, as they stood when that was last looked at.
    expiry: Option<(Timestamp, Instant)>,
}

pub(super) enum SlotState {
    /// It must authenticate; it has been here since then.
    Waiting(Instant),
    /// It is in the hub.
    Live(Feed),
}

impl Slot {
    /// A session that has to authenticate, as others had since `since`.
    pub(super) fn waiting(namespace: Namespace, id: ConnectionId, since: Instant) -> Self {
        Self {
            namespace,
            id,
            state: SlotState::Waiting(since),
            expiry: None,
        }
    }

    /// It is live: told everything after this event.
    pub(super) fn begin(&mut self, session: Arc<Session>, after: EventId) {
        self.state = SlotState::Live(Feed::new(session, after));
    }

    /// What it is told, once it is live.
    pub(super) fn feed(&mut self) -> Option<&mut Feed> {
        match &mut self.state {
            SlotState::Live(feed) => Some(feed),
            SlotState::Waiting(_) => None,
        }
    }

    /// Its session, once it is live.
    pub(super) fn session(&self) -> Option<&Arc<Session>> {
        match &self.state {
            SlotState::Live(feed) => Some(feed.session()),
            SlotState::Waiting(_) => None,
        }
    }

    pub(super) fn is_live(&self) -> bool {
        matches!(self.state, SlotState::Live(_))
    }

    /// Whose it is, once that is proven.
    pub(super) fn subject(&self) -> Option<&Subject> {
        self.session().map(|session| session.subject())
    }

    /// Whether it is to be closed, so that nothing else may be written for it.
    pub(super) fn has_ended(&self) -> bool {
        self.session()
            .is_some_and(|session| session.outbox().has_ended())
    }

    /// Why it is to be closed, and what it is told last.
    pub(super) fn ending(&self) -> Option<(Ending, Option<Arc<Event>>)> {
        match self.session()?.outbox().drain(0) {
            Drained::Ended(ending, last_words) => Some((ending, last_words)),
            Drained::Events(_) | Drained::Missed(_) => None,
        }
    }

    /// Whether it reads on from history.
    pub(super) fn is_behind(&self) -> bool {
        matches!(&self.state, SlotState::Live(feed) if feed.is_behind())
    }

    /// What its outbox has, at most `limit` events; none while it waits or reads from history.
    pub(super) fn drain(&mut self, limit: usize) -> VecDeque<Arc<Event>> {
        self.feed()
            .map(|feed| feed.drain(limit))
            .unwrap_or_default()
    }

    /// Has the states that it is owed laid out in its outbox, if it is their turn. True if they were.
    pub(super) fn prepare_states(&self, app: &App) -> bool {
        match &self.state {
            SlotState::Live(feed) if !feed.is_behind() => {
                let session = feed.session();
                session.outbox().must_tell_states() && app.entities.tell_states(session)
            }
            _ => false,
        }
    }

    /// A message that was posted to its session.
    pub(super) fn take_post(&self) -> Option<Post> {
        self.session()?.take_post()
    }

    /// Takes the session out of the hub. Its rooms are kept until it comes back, or for as long as
    /// the history.
    pub(super) fn leave(self, app: &Arc<App>) {
        let Some(session) = self.session() else {
            return;
        };
        let has_rooms = app.hub.is_in_rooms(session);
        app.hub.unregister(session);
        if has_rooms {
            let (store, hub, id) = (app.store.clone(), app.hub.clone(), session.id().clone());
            tokio::spawn(rooms::note_session(store, hub, id));
        }
    }

    /// When it must be looked at again: its token ends, or its time to authenticate does. Asked at
    /// every turn of its connection, it reads no clock unless the token is another.
    pub(super) fn deadline(&mut self, auth_timeout: Duration) -> Option<Instant> {
        let session = match &self.state {
            SlotState::Waiting(since) => return Some(*since + auth_timeout),
            SlotState::Live(feed) => feed.session(),
        };
        let ends = session.expires_at()?;
        if let Some((_, at)) = self.expiry.filter(|(known, _)| *known == ends) {
            return Some(at);
        }
        let left = ends.unix_ms() - Timestamp::now().unix_ms();
        // A day at a time: the clock may be set meanwhile.
        let wait = Duration::from_millis(u64::try_from(left).unwrap_or(0)).min(DAY);
        let at = Instant::now() + wait;
        self.expiry = Some((ends, at));
        Some(at)
    }

    /// Has `deadline` look at the clocks again.
    pub(super) fn look_again(&mut self) {
        self.expiry = None;
    }

    /// Whether it is live with a token that has ended.
    pub(super) fn has_expired(&self) -> bool {
        self.session()
            .and_then(|session| session.expires_at())
            .is_some_and(|at| at <= Timestamp::now())
    }

    /// Whether it has waited too long for its token.
    pub(super) fn is_overdue(&self, auth_timeout: Duration) -> bool {
        matches!(&self.state, SlotState::Waiting(since) if Instant::now() >= *since + auth_timeout)
    }

    /// Ends it because its token has (contract 6.2: 4401).
    pub(super) fn expire(&self) {
        if let Some(session) = self.session() {
            session.end(Ending::Unauthenticated, None);
        }
    }
}
