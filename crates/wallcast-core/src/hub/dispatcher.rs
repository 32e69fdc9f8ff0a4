//! Carries what was just laid into outboxes to the kernel, so that no task need be woken for each
//! session that is told. What it cannot finish at once it leaves to the connection's task.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::vec::IntoIter;

use tokio::sync::Notify;
use tokio::task::{coop, yield_now};

use super::Session;
use crate::disconnect::DisconnectReason;

/// Sessions of one publication that are served before others have a turn.
const SHARE: usize = 8;
/// Sessions that are served before other tasks may run.
const ROUND: usize = 32;

/// The sessions that have something to be told, since their outboxes were empty before.
#[derive(Debug, Default)]
pub(super) struct Dispatcher {
    waiting: Mutex<Waiting>,
    called: Notify,
}

/// Publications whose sessions are not all served.
#[derive(Debug, Default)]
struct Waiting(VecDeque<IntoIter<Arc<Session>>>);

impl Dispatcher {
    /// Has these sessions served, in this order. Publications take turns: one to few is through while
    /// one to thousands goes on.
    pub(super) fn dispatch(&self, sessions: Vec<Arc<Session>>) {
        if sessions.is_empty() {
            return;
        }
        self.waiting().0.push_back(sessions.into_iter());
        self.called.notify_one();
    }

    /// Serves who is called, for ever. Several may run at once.
    pub(super) async fn run(&self) {
        // What tokio would stop it for is done here: it yields after each round.
        coop::unconstrained(async {
            loop {
                let round = self.waiting().round();
                if round.is_empty() {
                    self.called.notified().await;
                    continue;
                }
                if round.len() >= ROUND {
                    // There may be more, for whoever else runs.
                    self.called.notify_one();
                }
                for session in &round {
                    serve(session);
                }
                drop(round);
                yield_now().await;
            }
        })
        .await;
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What goes wrong with one connection is no matter of the others.
fn serve(session: &Session) {
    let deliver = AssertUnwindSafe(|| session.outbox().deliver(session));
    if catch_unwind(deliver).is_err() {
        tracing::error!(connection = %session.id(), "an event could not be handed on");
        // It may be lost to this connection, but not to whoever comes back.
        session.end(DisconnectReason::TryAgain, None);
    }
}

impl Waiting {
    /// Who comes next.
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
