//! A connection's session in one namespace: it waits for authentication, or is registered with the hub (live).

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use wallcast_core::auth::Subject;
use wallcast_core::clock::Timestamp;
use wallcast_core::disconnect::DisconnectReason;
use wallcast_core::event::{Event, EventId, Namespace};
use wallcast_core::hub::{DequeueResult, PostedMessage, Session};
use wallcast_core::ids::ConnectionId;

use super::subscription::Subscription;
use crate::app::App;
use crate::rooms;

const DAY: Duration = Duration::from_secs(86_400);

pub(super) struct NamespaceSession {
    pub(super) namespace: Namespace,
    pub(super) id: ConnectionId,
    pub(super) state: SessionState,
    /// When the token expires by the wall clock, and the instant computed from it. Recomputed when the token
    /// changes and at least once a day, because the wall clock may be set.
    expiry: Option<(Timestamp, Instant)>,
}

pub(super) enum SessionState {
    /// It must authenticate; the time allowed for that runs since this instant.
    Unauthenticated(Instant),
    /// It is registered with the hub.
    Live(Subscription),
}

impl NamespaceSession {
    /// A session that must authenticate within `auth_timeout` of `since`.
    pub(super) fn unauthenticated(namespace: Namespace, id: ConnectionId, since: Instant) -> Self {
        Self {
            namespace,
            id,
            state: SessionState::Unauthenticated(since),
            expiry: None,
        }
    }

    /// Makes the session live. It was registered to receive every event after `after`.
    pub(super) fn activate(&mut self, session: Arc<Session>, after: EventId) {
        self.state = SessionState::Live(Subscription::new(session, after));
    }

    pub(super) fn subscription(&mut self) -> Option<&mut Subscription> {
        match &mut self.state {
            SessionState::Live(subscription) => Some(subscription),
            SessionState::Unauthenticated(_) => None,
        }
    }

    /// The hub's session, if it is live.
    pub(super) fn live_session(&self) -> Option<&Arc<Session>> {
        match &self.state {
            SessionState::Live(subscription) => Some(subscription.session()),
            SessionState::Unauthenticated(_) => None,
        }
    }

    pub(super) fn is_live(&self) -> bool {
        matches!(self.state, SessionState::Live(_))
    }

    pub(super) fn subject(&self) -> Option<&Subject> {
        self.live_session().map(|session| session.subject())
    }

    /// Whether the hub ended the session. Nothing but its final event may be written then.
    pub(super) fn has_ended(&self) -> bool {
        self.live_session()
            .is_some_and(|session| session.outbox().has_ended())
    }

    /// Why the hub ended the session, and its final event.
    pub(super) fn end_reason(&self) -> Option<(DisconnectReason, Option<Arc<Event>>)> {
        match self.live_session()?.outbox().drain(0) {
            DequeueResult::Ended(reason, final_event) => Some((reason, final_event)),
            DequeueResult::Events(_) | DequeueResult::Missed(_) => None,
        }
    }

    /// Whether it replays history.
    pub(super) fn is_replaying(&self) -> bool {
        matches!(&self.state, SessionState::Live(subscription) if subscription.is_replaying())
    }

    /// Takes at most `limit` events from its outbox; none while it is unauthenticated or replays history.
    pub(super) fn drain(&mut self, limit: usize) -> VecDeque<Arc<Event>> {
        self.subscription()
            .map(|subscription| subscription.drain(limit))
            .unwrap_or_default()
    }

    /// Queues the pending snapshot of entity states, if there is one and the outbox has drained. True if it was
    /// queued.
    pub(super) fn queue_due_snapshot(&self, app: &App) -> bool {
        match &self.state {
            SessionState::Live(subscription) if !subscription.is_replaying() => {
                let session = subscription.session();
                session.outbox().is_snapshot_due() && app.entities.queue_snapshot(session)
            }
            _ => false,
        }
    }

    /// The next message that came by `POST /api/send`.
    pub(super) fn take_posted(&self) -> Option<PostedMessage> {
        self.live_session()?.take_post()
    }

    /// Removes the session from the hub. Its rooms are stored, so that a resumed session is in them again.
    pub(super) fn unregister(self, app: &Arc<App>) {
        let Some(session) = self.live_session() else {
            return;
        };
        let has_rooms = app.hub.is_in_rooms(session);
        app.hub.unregister(session);
        if has_rooms {
            let (store, hub, id) = (app.store.clone(), app.hub.clone(), session.id().clone());
            tokio::spawn(rooms::record_session_state(store, hub, id));
        }
    }

    /// When its token expires or its time to authenticate ends. Called in every iteration of the loop, so it reads
    /// the clocks only when the token has changed.
    pub(super) fn deadline(&mut self, auth_timeout: Duration) -> Option<Instant> {
        let session = match &self.state {
            SessionState::Unauthenticated(since) => return Some(*since + auth_timeout),
            SessionState::Live(subscription) => subscription.session(),
        };
        let expires_at = session.expires_at()?;
        if let Some((_, at)) = self.expiry.filter(|(known, _)| *known == expires_at) {
            return Some(at);
        }
        let left = expires_at.unix_ms() - Timestamp::now().unix_ms();
        // At most a day, because the wall clock may be set.
        let wait = Duration::from_millis(u64::try_from(left).unwrap_or(0)).min(DAY);
        let at = Instant::now() + wait;
        self.expiry = Some((expires_at, at));
        Some(at)
    }

    /// Makes the next [`deadline`](Self::deadline) read the clocks.
    pub(super) fn clear_cached_deadline(&mut self) {
        self.expiry = None;
    }

    /// Whether it is live and its token has expired.
    pub(super) fn has_expired(&self) -> bool {
        self.live_session()
            .and_then(|session| session.expires_at())
            .is_some_and(|at| at <= Timestamp::now())
    }

    /// Whether its time to authenticate is over.
    pub(super) fn is_overdue(&self, auth_timeout: Duration) -> bool {
        matches!(&self.state, SessionState::Unauthenticated(since) if Instant::now() >= *since + auth_timeout)
    }

    /// Ends the session because its token has expired (close code 4401).
    pub(super) fn expire(&self) {
        if let Some(session) = self.live_session() {
            session.end(DisconnectReason::Unauthenticated, None);
        }
    }
}
