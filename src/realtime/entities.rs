//! Messages about entities: `get_states` and `call_service`.

use serde_json::json;
use wallcast_core::audit::Actor;
use wallcast_core::entity_id::EntityId;

use super::calls::FinishedCall;
use super::codec::ReplyTo;
use super::command::EntityCommand;
use super::connection::Connection;
use crate::service_calls::{self, ServiceCall};

impl Connection {
    pub(super) fn act_on_entities(
        &mut self,
        index: usize,
        command: EntityCommand,
        reply_to: Option<ReplyTo>,
    ) {
        match command {
            EntityCommand::States => self.send_states(index, reply_to),
            EntityCommand::Call { entity, call } => self.call(index, entity, call, reply_to),
        }
    }

    /// Sends `entity_states` with the entities that the session may see. A requested reply contains them too.
    fn send_states(&mut self, index: usize, reply_to: Option<ReplyTo>) {
        let Some((namespace, session)) = self.live_session(index) else {
            return;
        };
        let states = self.app.entities.snapshot_for(session.subject());
        self.send_event(namespace, &states);
        self.count_sent(namespace);
        if reply_to.is_some() {
            let data = serde_json::from_str(states.data()).unwrap_or_default();
            self.reply_success(namespace, reply_to, data);
        }
    }

    fn call(
        &mut self,
        index: usize,
        entity: EntityId,
        call: ServiceCall,
        reply_to: Option<ReplyTo>,
    ) {
        let Some((namespace, session)) = self.live_session(index) else {
            return;
        };
        let calls = self.calls.clone();
        if !calls.begin() {
            let text = "Too many calls are waiting for Home Assistant; this one was ignored";
            return self.reply_error(namespace, reply_to, "rate_limited", text);
        }
        let (app, writer) = (self.app.clone(), self.writer.clone());
        let actor = Actor::new(session.subject(), self.peer.shown());
        // A task of its own, so that the call is completed although the connection closes meanwhile.
        tokio::spawn(async move {
            let called =
                service_calls::call_service(&app, session.subject(), &actor, entity, call).await;
            calls.finish(FinishedCall {
                namespace,
                reply_to,
                result: called.map(|called| json!(called)),
            });
            writer.wake();
        });
    }

    /// Replies to the calls that Home Assistant has answered.
    pub(super) fn reply_to_finished_calls(&mut self) {
        for call in self.calls.take_finished() {
            self.reply_result(call.namespace, call.reply_to, call.result);
        }
    }
}
