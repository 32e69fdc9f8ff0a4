//! What a session says of entities (contract 4.5): it asks for their states, or has something done.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::{Value, json};

use super::codec::RequestMark;
use super::connection::Connection;
use crate::entities::{self, Asked};
use crate::http::{ApiError, Fields};
use wallcast_core::audit::Actor;
use wallcast_core::entity_id::EntityId;
use wallcast_core::event::Namespace;

/// What a session wants of entities.
#[derive(Debug)]
pub(super) enum EntityCommand {
    /// `get_states`
    States,
    /// `call_service`
    Call { entity: EntityId, asked: Asked },
}

/// What Home Assistant does for a connection at once; more is refused.
const MAX_CALLS: usize = 16;

/// Calls that Home Assistant has yet to answer, and answers that the connection has yet to give: it
/// goes on telling and hearing meanwhile.
#[derive(Clone, Default)]
pub(super) struct Calls(Arc<Shared>);

#[derive(Default)]
struct Shared {
    open: AtomicUsize,
    done: Mutex<Vec<Done>>,
}

struct Done {
    namespace: Namespace,
    mark: Option<RequestMark>,
    outcome: Result<Value, ApiError>,
}

impl EntityCommand {
    /// `call_service` `{entityId, service, data}`
    pub(super) fn call(fields: &mut Fields) -> Result<Self, ApiError> {
        Ok(Self::Call {
            entity: fields.required("entityId")?,
            asked: Asked::from_fields(fields)?,
        })
    }
}

impl Connection {
    pub(super) fn act_on_entities(
        &mut self,
        index: usize,
        command: EntityCommand,
        mark: Option<RequestMark>,
    ) {
        match command {
            EntityCommand::States => self.send_states(index, mark),
            EntityCommand::Call { entity, asked } => self.call(index, entity, asked, mark),
        }
    }

    /// `entity_states` of the session's entities; whoever wants an answer finds them there as well.
    fn send_states(&mut self, index: usize, mark: Option<RequestMark>) {
        let Some((namespace, session)) = self.live(index) else {
            return;
        };
        let states = self.app.entities.states_for(session.subject());
        self.send_event(namespace, &states);
        self.count_answer(namespace);
        if mark.is_some() {
            let data = serde_json::from_str(states.data()).unwrap_or_default();
            self.succeed(namespace, mark, data);
        }
    }

    fn call(&mut self, index: usize, entity: EntityId, asked: Asked, mark: Option<RequestMark>) {
        let Some((namespace, session)) = self.live(index) else {
            return;
        };
        let calls = self.calls.clone();
        if calls.0.open.fetch_add(1, Ordering::Relaxed) >= MAX_CALLS {
            calls.0.open.fetch_sub(1, Ordering::Relaxed);
            let text = "Home Assistant has yet to answer others of yours; this was not acted on";
            return self.fail(namespace, mark, "rate_limited", text);
        }
        let (app, writer) = (self.app.clone(), self.writer.clone());
        let actor = Actor::new(session.subject(), self.peer.shown());
        // What was begun is finished, also when the connection ends meanwhile.
        tokio::spawn(async move {
            let called = entities::call(&app, session.subject(), &actor, entity, asked).await;
            calls.finish(Done {
                namespace,
                mark,
                outcome: called.map(|called| json!(called)),
            });
            writer.wake();
        });
    }

    /// Answers the calls that Home Assistant has answered.
    pub(super) fn answer_calls(&mut self) {
        for done in self.calls.take() {
            self.answer(done.namespace, done.mark, done.outcome);
        }
    }
}

impl Calls {
    fn finish(&self, done: Done) {
        self.done().push(done);
        self.0.open.fetch_sub(1, Ordering::Relaxed);
    }

    fn take(&self) -> Vec<Done> {
        std::mem::take(&mut *self.done())
    }

    fn done(&self) -> std::sync::MutexGuard<'_, Vec<Done>> {
        self.0.done.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
