//! What a live session is told, each event once and in order: from its outbox or, where that could
//! not hold everything, from history at the session's own pace (contract 4.6). Knows no carrier
//! and no dialect.

#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::sync::Arc;

use rusqlite::Connection;

use super::position::Standing;
use crate::auth::entitlement;
use crate::event::{Event, EventId, Namespace};
use crate::history::{self, Span};
use crate::hub::{Drained, Hub, Session};
use crate::store::{Store, StoreError};

/// A live session, and how far it has been told.
#[derive(Debug)]
pub(super) struct Feed {
    session: Arc<Session>,
    /// The event after which it was told everything of its own that is not in `behind`.
    told_after: EventId,
    /// What it reads from history, in this order, before it takes from its outbox again.
    behind: VecDeque<Behind>,
    /// Earlier events that it was told with its first words; going back does not tell them again.
    told_first: Vec<EventId>,
}

/// A stretch of history that a session has yet to be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Behind {
    /// It was told, or looked through, as far as this event.
    reached: EventId,
    /// Its last event; without one it goes on to wherever live events begin.
    until: Option<EventId>,
}

/// What the history had for a session.
#[derive(Debug)]
pub(super) enum Recalled {
    /// What comes next; perhaps nothing, also when more is to come.
    Events(Vec<Event>),
    /// What comes next was deleted while the session was slow. The stretch is passed over, and the
    /// session must hear of it: `resync_required`.
    TooOld(Standing),
}

/// Lets a session hear everything of its own after `after`: what was committed already, up to
/// `last`, is left to history. Call between two commits
/// ([`Store::between_commits`]). `rooms` are those of the session that it continues.
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
        session.outbox().start_behind(after.next());
    }
    hub.register(session.clone(), &spans, rooms, max_sessions);
    Ok(())
}

impl Feed {
    /// Of a session that was registered to hear everything after `after`.
    pub(super) fn new(session: Arc<Session>, after: EventId) -> Self {
        Self {
            session,
            told_after: after,
            behind: VecDeque::new(),
            told_first: Vec::new(),
        }
    }

    /// Its first words told these events, which came before what it was registered to hear.
    pub(super) fn was_told_first(&mut self, events: Vec<EventId>) {
        self.told_first = events;
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
            Drained::Events(events) => events,
            Drained::Missed(first) => {
                self.session.outbox().close();
                self.behind.push_back(Behind {
                    reached: first.previous(),
                    until: None,
                });
                VecDeque::new()
            }
            // An end that came just now is seen to at the connection's next turn.
            Drained::Ended(..) => VecDeque::new(),
        }
    }

    /// Goes back to an earlier event: what came after it and was not told yet is read from history.
    /// Returns where that ends, if it is anything.
    pub(super) fn rewind(&mut self, to: EventId) -> Option<EventId> {
        let until = self.told_after;
        (to < until).then(|| {
            self.session.outbox().close();
            self.behind.push_front(Behind {
                reached: to,
                until: Some(until),
            });
            self.told_after = to;
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
    ) -> Result<Recalled, StoreError> {
        let Some(behind) = self.behind.front_mut() else {
            return Ok(Recalled::Events(Vec::new()));
        };
        let Behind { reached, until } = *behind;
        let (principal, id) = (self.session.principal(), self.session.id().clone());
        let (epoch, namespace) = (store.epoch().clone(), self.session.namespace());
        let look = move |db: &_| {
            let standing = Standing::read(db, epoch, history::last_id(db)?)?;
            if reached.next() < standing.oldest {
                return Ok::<_, StoreError>(Err(standing));
            }
            let mut spans = entitlement::spans_in(db, &principal, namespace, reached)?;
            spans.extend(entitlement::rooms(db, &id, reached)?);
            let page = history::replay(db, &standing.epoch, &spans, reached, until, limit)?;
            Ok(Ok(page))
        };
        let (recalled, reached, is_last) = match store.read(look).await? {
            Ok(page) => (Recalled::Events(page.events), page.reached, page.is_last),
            Err(standing) => {
                let end = until.unwrap_or(standing.last);
                (Recalled::TooOld(standing), end, true)
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
            .heard_in(self.session.namespace())
            .without(&self.told_first))
    }

    /// Opens the outbox again, unless something was committed after `reached`.
    async fn go_live(&self, store: &Store, reached: EventId) -> Result<bool, StoreError> {
        let session = self.session.clone();
        store
            .between_commits(move |_, last| {
                let is_at_the_end = last == reached;
                if is_at_the_end {
                    session.outbox().catch_up();
                }
                Ok(is_at_the_end)
            })
            .await
    }
}

impl Recalled {
    fn heard_in(mut self, namespace: Namespace) -> Self {
        if let Self::Events(events) = &mut self {
            events.retain(|event| event.kind().is_heard_in(namespace));
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
