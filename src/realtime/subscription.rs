//! What a live session is told, each event once and in order: from its outbox or, where that could
//! not hold everything, from history at the session's own pace (contract 4.6). Knows no transport
//! and no dialect.

#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::sync::Arc;

use rusqlite::Connection;

use super::position::HistoryBounds;
use crate::access::entitlement;
use wallcast_core::event::{Event, EventId, Namespace};
use wallcast_core::history::{self, Span};
use wallcast_core::hub::{DequeueResult, Hub, Session};
use wallcast_core::store::{Store, StoreError};

/// A live session, and how far it has been told.
#[derive(Debug)]
pub(super) struct Subscription {
    session: Arc<Session>,
    /// The event after which it was told everything of its own that is not in `behind`.
    delivered_after: EventId,
    /// What it reads from history, in this order, before it takes from its outbox again.
    behind: VecDeque<ReplayRange>,
    /// Earlier events that it was told with its first words; going back does not tell them again.
    sent_with_welcome: Vec<EventId>,
}

/// A stretch of history that a session has yet to be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct ReplayRange {
    /// It was told, or looked through, as far as this event.
    reached: EventId,
    /// Its last event; without one it goes on to wherever live events begin.
    until: Option<EventId>,
}

/// What the history had for a session.
#[derive(Debug)]
pub(super) enum ReplayPage {
    /// What comes next; perhaps nothing, also when more is to come.
    Events(Vec<Event>),
    /// What comes next was deleted while the session was slow. The stretch is passed over, and the
    /// session must hear of it: `resync_required`.
    TooOld(HistoryBounds),
}

/// Lets a session hear everything of its own after `after`: what was committed already, up to
/// `last`, is left to history. Call between two commits
/// ([`Store::read_at_commit`]). `rooms` are those of the session that it continues.
///
/// # Errors
/// SQLite's.
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
    /// Of a session that was registered to hear everything after `after`.
    pub(super) fn new(session: Arc<Session>, after: EventId) -> Self {
        Self {
            session,
            delivered_after: after,
            behind: VecDeque::new(),
            sent_with_welcome: Vec::new(),
        }
    }

    /// Its first words told these events, which came before what it was registered to hear.
    pub(super) fn note_sent_with_welcome(&mut self, events: Vec<EventId>) {
        self.sent_with_welcome = events;
    }

    pub(super) fn session(&self) -> &Arc<Session> {
        &self.session
    }

    /// Whether it reads on from history.
    pub(super) fn is_behind(&self) -> bool {
        !self.behind.is_empty()
    }

    /// What its outbox has, at most `limit` events; none while it reads from history. Finds out
    /// here that the outbox could not hold everything.
    pub(super) fn drain(&mut self, limit: usize) -> VecDeque<Arc<Event>> {
        if self.is_behind() {
            return VecDeque::new();
        }
        match self.session.outbox().drain(limit) {
            DequeueResult::Events(events) => events,
            DequeueResult::Missed(first) => {
                self.session.outbox().block_dispatch();
                self.behind.push_back(ReplayRange {
                    reached: first.previous(),
                    until: None,
                });
                VecDeque::new()
            }
            // An end that came just now is seen to at the connection's next turn.
            DequeueResult::Ended(..) => VecDeque::new(),
        }
    }

    /// Goes back to an earlier event: what came after it and was not told yet is read from history.
    /// Returns where that ends, if it is anything.
    pub(super) fn rewind(&mut self, to: EventId) -> Option<EventId> {
        let until = self.delivered_after;
        (to < until).then(|| {
            self.session.outbox().block_dispatch();
            self.behind.push_front(ReplayRange {
                reached: to,
                until: Some(until),
            });
            self.delivered_after = to;
            until
        })
    }

    /// The next page of history, `limit` events at most. Once the last is read it takes live events
    /// again, without a gap.
    ///
    /// # Errors
    /// When the history cannot be read.
    pub(super) async fn read_on(
        &mut self,
        store: &Store,
        limit: usize,
    ) -> Result<ReplayPage, StoreError> {
        let Some(behind) = self.behind.front_mut() else {
            return Ok(ReplayPage::Events(Vec::new()));
        };
        let ReplayRange { reached, until } = *behind;
        let (principal, id) = (self.session.principal(), self.session.id().clone());
        let (epoch, namespace) = (store.epoch().clone(), self.session.namespace());
        let look = move |db: &_| {
            let bounds = HistoryBounds::read(db, epoch, history::last_id(db)?)?;
            if reached.next() < bounds.oldest {
                return Ok::<_, StoreError>(Err(bounds));
            }
            let mut spans = entitlement::spans_in(db, &principal, namespace, reached)?;
            spans.extend(entitlement::rooms(db, &id, reached)?);
            let page = history::replay(db, &bounds.epoch, &spans, reached, until, limit)?;
            Ok(Ok(page))
        };
        let (recalled, reached, is_last) = match store.read(look).await? {
            Ok(page) => (ReplayPage::Events(page.events), page.reached, page.is_last),
            Err(bounds) => {
                let end = until.unwrap_or(bounds.last);
                (ReplayPage::TooOld(bounds), end, true)
            }
        };
        behind.reached = reached;
        let is_told = match until {
            _ if !is_last => false,
            Some(_) => true,
            None => self.go_live(store, reached).await?,
        };
        if is_told {
            self.behind.pop_front();
        }
        Ok(recalled
            .delivered_in(self.session.namespace())
            .without(&self.sent_with_welcome))
    }

    /// Opens the outbox again, unless something was committed after `reached`.
    async fn go_live(&self, store: &Store, reached: EventId) -> Result<bool, StoreError> {
        let session = self.session.clone();
        store
            .read_at_commit(move |_, last| {
                let is_at_the_end = last == reached;
                if is_at_the_end {
                    session.outbox().catch_up();
                }
                Ok(is_at_the_end)
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

    fn without(mut self, told: &[EventId]) -> Self {
        if let Self::Events(events) = &mut self {
            events.retain(|event| event.id().is_none_or(|id| !told.contains(&id)));
        }
        self
    }
}
