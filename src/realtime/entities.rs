//! What a session says of entities (contract 4.5): it asks for their states, or has something done.

use serde_json::json;

use super::calls::FinishedCall;
use super::codec::RequestMark;
use super::command::EntityCommand;
use super::connection::Connection;
use crate::service_calls;
use crate::service_calls::ServiceCall;
use wallcast_core::audit::Actor;
use wallcast_core::entity_id::EntityId;

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
        let states = self.app.entities.snapshot_for(session.subject());
        self.send_event(namespace, &states);
        self.count_answer(namespace);
        if mark.is_some() {
            let data = serde_json::from_str(states.data()).unwrap_or_default();
            self.succeed(namespace, mark, data);
        }
    }

    fn call(
        &mut self,
        index: usize,
        entity: EntityId,
        asked: ServiceCall,
        mark: Option<RequestMark>,
    ) {
        let Some((namespace, session)) = self.live(index) else {
            return;
        };
        let calls = self.calls.clone();
        if !calls.begin() {
            let text = "Home Assistant has yet to answer others of yours; this was not acted on";
            return self.fail(namespace, mark, "rate_limited", text);
        }
        let (app, writer) = (self.app.clone(), self.writer.clone());
        let actor = Actor::new(session.subject(), self.peer.shown());
        // What was begun is finished, also when the connection ends meanwhile.
        tokio::spawn(async move {
            let called =
                service_calls::call_service(&app, session.subject(), &actor, entity, asked).await;
            calls.finish(FinishedCall {
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
