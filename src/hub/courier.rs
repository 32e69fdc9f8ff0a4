//! Carries what was just laid into outboxes to the kernel, so that no task need be woken for each
//! session that is told. What it cannot finish at once it leaves to the connection's task.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::vec::IntoIter;

use tokio::sync::Notify;
use tokio::task::{coop, yield_now};

use super::Session;

/// As many sessions are few: they come before those of larger publications.
const FEW: usize = 32;
/// Sessions that are served before others may run.
const ROUND: usize = 32;

/// The sessions that have something to be told, since their outboxes were empty before.
#[derive(Debug, Default)]
pub(super) struct Courier {
    waiting: Mutex<Waiting>,
    called: Notify,
}

#[derive(Debug, Default)]
struct Waiting {
    few: VecDeque<Arc<Session>>,
    many: VecDeque<IntoIter<Arc<Session>>>,
}

impl Courier {
    /// Has these sessions served, in this order; few of them before those of larger publications.
    pub(super) fn call(&self, sessions: Vec<Arc<Session>>) {
        if sessions.is_empty() {
            return;
        }
        {
            let mut waiting = self.waiting();
            match sessions.len() {
                ..=FEW => waiting.few.extend(sessions),
                _ => waiting.many.push_back(sessions.into_iter()),
            }
        }
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
        session.outbox().gate().wake();
    }
}

impl Waiting {
    /// Who comes next: of the few as many as there are, and some of the many in any case, so that
    /// neither waits for all of the other.
    fn round(&mut self) -> Vec<Arc<Session>> {
        let few = self.few.len().min(ROUND);
        let mut round: Vec<_> = self.few.drain(..few).collect();
        while round.len() < few + ROUND {
            let Some(next) = self.many.front_mut() else {
                break;
            };
            match next.next() {
                Some(session) => round.push(session),
                None => {
                    self.many.pop_front();
                }
            }
        }
        round
    }
}
