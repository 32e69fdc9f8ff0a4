//! Writes newly queued events to their connections, so that a delivery usually wakes no connection task. What a
//! connection cannot take at once is left to its task.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::vec::IntoIter;

use tokio::sync::Notify;
use tokio::task::{coop, yield_now};

use super::Session;
use crate::disconnect::DisconnectReason;

/// Most sessions of one publication in a row; then the next publication has its turn.
const SHARE: usize = 8;
/// Most sessions per round; then other tasks may run.
const ROUND: usize = 32;

/// The queue of sessions whose outbox was empty before an event was queued in it.
#[derive(Debug, Default)]
pub(super) struct Dispatcher {
    waiting: Mutex<Publications>,
    notify: Notify,
}

/// For each publication the sessions that were not written to yet.
#[derive(Debug, Default)]
struct Publications(VecDeque<IntoIter<Arc<Session>>>);

impl Dispatcher {
    /// Queues the sessions of a publication, in this order. Publications take turns, so one to a few sessions is not
    /// delayed by one to thousands.
    pub(super) fn dispatch(&self, sessions: Vec<Arc<Session>>) {
        if sessions.is_empty() {
            return;
        }
        self.waiting().0.push_back(sessions.into_iter());
        self.notify.notify_one();
    }

    /// Writes to queued sessions, forever. Several calls may run concurrently.
    pub(super) async fn run(&self) {
        // The loop yields after each round, so it needs no cooperative budget.
        coop::unconstrained(async {
            loop {
                let round = self.waiting().round();
                if round.is_empty() {
                    self.notify.notified().await;
                    continue;
                }
                if round.len() >= ROUND {
                    // More sessions may be queued: let a concurrent `run` take them.
                    self.notify.notify_one();
                }
                for session in &round {
                    deliver(session);
                }
                drop(round);
                yield_now().await;
            }
        })
        .await;
    }

    fn waiting(&self) -> MutexGuard<'_, Publications> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Writes the events of one session. A panic in its connection must not affect the others.
fn deliver(session: &Session) {
    let deliver = AssertUnwindSafe(|| session.outbox().deliver(session));
    if catch_unwind(deliver).is_err() {
        tracing::error!(connection = %session.id(), "writing events panicked; ending the session");
        // This connection may have lost an event. The client recovers it when it reconnects.
        session.end(DisconnectReason::TryAgain, None);
    }
}

impl Publications {
    /// Takes the sessions of the next round.
    fn round(&mut self) -> Vec<Arc<Session>> {
        let mut round = Vec::new();
        while round.len() < ROUND
            && let Some(mut publication) = self.0.pop_front()
        {
            round.extend(publication.by_ref().take(SHARE));
            if publication.len() > 0 {
                self.0.push_back(publication);
            }
        }
        round
    }
}
