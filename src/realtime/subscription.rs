//! The events of a live session, each once and in order. A session takes them from its outbox (live). After the
//! outbox overflowed, or when it resumes, it reads them from history at its own pace (replaying). Knows no transport
//! and no dialect.

#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::sync::Arc;

use rusqlite::Connection;
use wallcast_core::event::{Event, EventId, Namespace};
use wallcast_core::history::{self, Span};
use wallcast_core::hub::{DequeueResult, Hub, Session};
use wallcast_core::store::{Store, StoreError};

use super::position::HistoryBounds;
use crate::access::entitlement;

#[derive(Debug)]
pub(super) struct Subscription {
    session: Arc<Session>,
    /// The session received every event of its topics after this one, except those in `replays`.
    delivered_after: EventId,
    /// The ranges of history to read, in this order, before events are taken from the outbox again.
    replays: VecDeque<ReplayRange>,
    /// Pending events that were sent with the welcome; a replay leaves them out.
    sent_with_welcome: Vec<EventId>,
}

/// A range of history that a session has not received yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct ReplayRange {
    /// The last event that was read, whether or not it was the session's.
    reached: EventId,
    /// The last event of the range. Without one the range ends where the outbox goes on.
    until: Option<EventId>,
}

/// One page of a replay.
#[derive(Debug)]
pub(super) enum ReplayPage {
    /// The next events. A page may be empty although more history follows.
    Events(Vec<Event>),
    /// The next events were deleted before the session read them. The range is skipped, and the client must get
    /// `resync_required`.
    TooOld(HistoryBounds),
}

/// Registers a session to receive every event of its topics after `after`. Events up to `last` are committed already
/// and are replayed from history. Call between two commits ([`Store::read_at_commit`]). `rooms` are the rooms of the
/// session that it resumes.
pub(super) fn register(
    hub: &Hub,
    db: &Connection,
    session: &Arc<Session>,
    rooms: &[Span],
    after: EventId,
    last: EventId,
    max_sessions: usize,
) -> rusqlite::Result<()> {
    let spans = entitlement::spans(db, &session.principal(), last)?;
    if after < last {
        session.outbox().start_from_history(after.next());
    }
    hub.register(session.clone(), &spans, rooms, max_sessions);
    Ok(())
}

impl Subscription {
    /// Creates the subscription of a session that was registered to receive every event after `after`.
    pub(super) fn new(session: Arc<Session>, after: EventId) -> Self {
        Self {
            session,
            delivered_after: after,
            replays: VecDeque::new(),
            sent_with_welcome: Vec::new(),
        }
    }

    /// Notes pending events that were sent with the welcome.
    pub(super) fn note_sent_with_welcome(&mut self, events: Vec<EventId>) {
        self.sent_with_welcome = events;
    }

    pub(super) fn session(&self) -> &Arc<Session> {
        &self.session
    }

    pub(super) fn is_replaying(&self) -> bool {
        !self.replays.is_empty()
    }

    /// Takes at most `limit` events from the outbox; none while it replays. If the outbox has overflowed, replaying
    /// begins here.
    pub(super) fn drain(&mut self, limit: usize) -> VecDeque<Arc<Event>> {
        if self.is_replaying() {
            return VecDeque::new();
        }
        match self.session.outbox().drain(limit) {
            DequeueResult::Events(events) => events,
            DequeueResult::Missed(first) => {
                self.session.outbox().block_dispatch();
                self.replays.push_back(ReplayRange {
                    reached: first.previous(),
                    until: None,
                });
                VecDeque::new()
            }
            // The next iteration of the connection's loop closes a session that has just ended.
            DequeueResult::Ended(..) => VecDeque::new(),
        }
    }

    /// Starts replaying after an earlier event, up to where this session began. Returns the end of that range, or
    /// `None` if the session has received those events already.
    pub(super) fn rewind(&mut self, to: EventId) -> Option<EventId> {
        let until = self.delivered_after;
        (to < until).then(|| {
            self.session.outbox().block_dispatch();
            self.replays.push_front(ReplayRange {
                reached: to,
                until: Some(until),
            });
            self.delivered_after = to;
            until
        })
    }

    /// Reads the next page of history, at most `limit` events. After the last page the session is live again, with
    /// no gap between history and outbox.
    pub(super) async fn read_page(
        &mut self,
        store: &Store,
        limit: usize,
    ) -> Result<ReplayPage, StoreError> {
        let Some(range) = self.replays.front_mut() else {
            return Ok(ReplayPage::Events(Vec::new()));
        };
        let ReplayRange { reached, until } = *range;
        let (principal, id) = (self.session.principal(), self.session.id().clone());
        let (epoch, namespace) = (store.epoch().clone(), self.session.namespace());
        let read = move |db: &_| {
            let bounds = HistoryBounds::read(db, epoch, history::last_id(db)?)?;
            if reached.next() < bounds.oldest {
                return Ok::<_, StoreError>(Err(bounds));
            }
            let mut spans = entitlement::spans_in(db, &principal, namespace, reached)?;
            spans.extend(entitlement::rooms(db, &id, reached)?);
            let page = history::replay(db, &bounds.epoch, &spans, reached, until, limit)?;
            Ok(Ok(page))
        };
        let (page, reached, is_last) = match store.read(read).await? {
            Ok(page) => (ReplayPage::Events(page.events), page.reached, page.is_last),
            Err(bounds) => {
                let end = until.unwrap_or(bounds.last);
                (ReplayPage::TooOld(bounds), end, true)
            }
        };
        range.reached = reached;
        let is_complete = match until {
            _ if !is_last => false,
            Some(_) => true,
            None => self.go_live(store, reached).await?,
        };
        if is_complete {
            self.replays.pop_front();
        }
        Ok(page
            .delivered_in(self.session.namespace())
            .without(&self.sent_with_welcome))
    }

    /// Lets the outbox queue events again, unless something was committed after `reached`.
    async fn go_live(&self, store: &Store, reached: EventId) -> Result<bool, StoreError> {
        let session = self.session.clone();
        store
            .read_at_commit(move |_, last| {
                let is_at_end = last == reached;
                if is_at_end {
                    session.outbox().catch_up();
                }
                Ok(is_at_end)
            })
            .await
    }
}

impl ReplayPage {
    fn delivered_in(mut self, namespace: Namespace) -> Self {
        if let Self::Events(events) = &mut self {
            events.retain(|event| event.event_type().is_delivered_in(namespace));
        }
        self
    }

    fn without(mut self, sent: &[EventId]) -> Self {
        if let Self::Events(events) = &mut self {
            events.retain(|event| event.id().is_none_or(|id| !sent.contains(&id)));
        }
        self
    }
}
