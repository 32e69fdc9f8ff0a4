//! A session's place in its connection: it must authenticate, or it is live in the hub.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::subscription::Subscription;
use crate::app::App;
use crate::rooms;
use wallcast_core::auth::Subject;
use wallcast_core::clock::Timestamp;
use wallcast_core::disconnect::DisconnectReason;
use wallcast_core::event::{Event, EventId, Namespace};
use wallcast_core::hub::{DequeueResult, PostedMessage, Session};
use wallcast_core::ids::ConnectionId;

const DAY: Duration = Duration::from_secs(86_400);

/// A session's place.
pub(super) struct NamespaceSession {
    pub(super) namespace: Namespace,
    pub(super) id: ConnectionId,
    pub(super) state: SessionState,
    /// When its token ends, by both clocks, as they stood when that was last looked at.
    expiry: Option<(Timestamp, Instant)>,
}

pub(super) enum SessionState {
    /// It must authenticate; it has been here since then.
    Waiting(Instant),
    /// It is in the hub.
    Live(Subscription),
}

impl NamespaceSession {
    /// A session that has to authenticate, as others had since `since`.
    pub(super) fn waiting(namespace: Namespace, id: ConnectionId, since: Instant) -> Self {
        Self {
            namespace,
            id,
            state: SessionState::Waiting(since),
            expiry: None,
        }
    }

    /// It is live: told everything after this event.
    pub(super) fn begin(&mut self, session: Arc<Session>, after: EventId) {
        self.state = SessionState::Live(Subscription::new(session, after));
    }

    /// What it is told, once it is live.
    pub(super) fn subscription(&mut self) -> Option<&mut Subscription> {
        match &mut self.state {
            SessionState::Live(subscription) => Some(subscription),
            SessionState::Waiting(_) => None,
        }
    }

    /// Its session, once it is live.
    pub(super) fn session(&self) -> Option<&Arc<Session>> {
        match &self.state {
            SessionState::Live(subscription) => Some(subscription.session()),
            SessionState::Waiting(_) => None,
        }
    }

    pub(super) fn is_live(&self) -> bool {
        matches!(self.state, SessionState::Live(_))
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
    pub(super) fn reason(&self) -> Option<(DisconnectReason, Option<Arc<Event>>)> {
        match self.session()?.outbox().drain(0) {
            DequeueResult::Ended(reason, final_event) => Some((reason, final_event)),
            DequeueResult::Events(_) | DequeueResult::Missed(_) => None,
        }
    }

    /// Whether it reads on from history.
    pub(super) fn is_behind(&self) -> bool {
        matches!(&self.state, SessionState::Live(subscription) if subscription.is_behind())
    }

    /// What its outbox has, at most `limit` events; none while it waits or reads from history.
    pub(super) fn drain(&mut self, limit: usize) -> VecDeque<Arc<Event>> {
        self.subscription()
            .map(|subscription| subscription.drain(limit))
            .unwrap_or_default()
    }

    /// Has the states that it is owed laid out in its outbox, if it is their turn. True if they were.
    pub(super) fn prepare_states(&self, app: &App) -> bool {
        match &self.state {
            SessionState::Live(subscription) if !subscription.is_behind() => {
                let session = subscription.session();
                session.outbox().is_snapshot_due() && app.entities.queue_snapshot(session)
            }
            _ => false,
        }
    }

    /// A message that was posted to its session.
    pub(super) fn take_post(&self) -> Option<PostedMessage> {
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
            tokio::spawn(rooms::record_session_state(store, hub, id));
        }
    }

    /// When it must be looked at again: its token ends, or its time to authenticate does. Asked at
    /// every turn of its connection, it reads no clock unless the token is another.
    pub(super) fn deadline(&mut self, auth_timeout: Duration) -> Option<Instant> {
        let session = match &self.state {
            SessionState::Waiting(since) => return Some(*since + auth_timeout),
            SessionState::Live(subscription) => subscription.session(),
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
        matches!(&self.state, SessionState::Waiting(since) if Instant::now() >= *since + auth_timeout)
    }

    /// Ends it because its token has (contract 6.2: 4401).
    pub(super) fn expire(&self) {
        if let Some(session) = self.session() {
            session.end(DisconnectReason::Unauthenticated, None);
        }
    }
}
