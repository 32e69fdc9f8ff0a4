//! What a session's messages come to: acting on them, and answering or refusing them in the shapes
//! of contract 4.2.

use std::sync::Arc;

use serde_json::{Value, json};
use tokio::time::Instant;

use super::close_action::CloseAction;
use super::codec::{Message, RequestMark, Unreadable, failure};
use super::command::Command;
use super::connection::Connection;
use super::namespace_session::NamespaceSession;
use crate::http::{ApiError, Fields};
use crate::messages::{self, Participant};
use wallcast_core::auth::Subject;
use wallcast_core::clock::Timestamp;
use wallcast_core::event::{EventId, EventType, Namespace};
use wallcast_core::hub::Session;

impl Connection {
    /// Acts on a message of one session.
    pub(super) async fn act(&mut self, index: usize, message: Message) -> Result<(), CloseAction> {
        let Some(entry) = self.sessions.get(index) else {
            return Ok(());
        };
        if let Some(session) = entry.session() {
            // What comes from here on is told after the answer, which may take its time.
            session.outbox().block_dispatch();
        }
        let (namespace, is_live) = (entry.namespace, entry.is_live());
        let mark = message.request;
        let command = Command::parse(&message.kind, message.fields);
        if !is_live && !matches!(command, Ok(Command::Authenticate(_))) {
            let text = "Authenticate first; nothing else is taken until then";
            self.fail(namespace, mark, "unauthenticated", text);
            return Ok(());
        }
        match command {
            Ok(Command::Authenticate(claimed)) => self.authenticate(index, claimed, mark).await?,
            Ok(Command::Ping) => {
                let now = json!({ "timestamp": Timestamp::now() });
                self.send_direct(namespace, &EventType::PONG, &now);
                self.succeed(namespace, mark, now);
            }
            Ok(Command::Resume {
                position,
                connection,
            }) => self.resume(index, position, connection, mark).await?,
            Ok(Command::Room(command)) => self.change_room(index, command, mark).await,
            Ok(Command::Organization(command)) => {
                self.change_organization(index, command, mark).await;
            }
            Ok(Command::Help(wanted)) => self.request_help(index, wanted, mark).await,
            Ok(Command::Report(reported)) => self.report_result(index, reported, mark).await,
            Ok(Command::Ack(id)) => self.acknowledge(index, id, mark).await,
            Ok(Command::Entity(command)) => self.act_on_entities(index, command, mark),
            Ok(Command::Message(command)) => self.act_on_message(index, command, mark).await,
            Err(error) => self.fail(namespace, mark, error.code(), error.message()),
        }
        Ok(())
    }

    /// Everything up to and with this event is done. Only a tablet's position is kept; messages are
    /// delivered by it, whoever they are for. Each is proven only by a session that hears of it.
    async fn acknowledge(&mut self, index: usize, id: EventId, mark: Option<RequestMark>) {
        let Some(entry) = self.sessions.get(index) else {
            return;
        };
        let namespace = entry.namespace;
        if id > self.app.hub.last_event() {
            let text = "id must be an event that was told already";
            return self.fail(namespace, mark, "invalid_field", text);
        }
        // It proves what the session was told, and so nothing of commands where none are heard.
        if let Some(Subject::Client(client)) = entry.subject()
            && EventType::COMMAND.is_delivered_in(namespace)
        {
            self.app.acks.record(client, id);
        }
        // The other namespaces hear of no messages.
        if namespace == Namespace::Main
            && let Some(participant) = entry.subject().and_then(Participant::of)
            && let Err(error) = messages::acknowledge(&self.app.store, participant, id).await
        {
            tracing::warn!(%error, "messages could not be counted as delivered");
        }
        self.succeed(namespace, mark, json!({ "id": id }));
    }

    /// Over the rate: told, not acted on, and the socket stays (contract section 8).
    pub(super) fn refuse_rate(&mut self, index: usize, request: Option<RequestMark>) {
        if let Some(entry) = self.sessions.get(index) {
            let namespace = entry.namespace;
            let text = "Too many messages in a second; this one was not acted on";
            self.fail(namespace, request, "rate_limited", text);
        }
    }

    /// Not of a message's form: told, and the socket stays (contract 4.2).
    pub(super) fn refuse_form(&mut self, index: usize, what: Unreadable) {
        if let Some(entry) = self.sessions.get(index) {
            let namespace = entry.namespace;
            self.fail(namespace, what.request, "invalid_message", what.text);
        }
    }

    /// A session that is proven, and its namespace.
    pub(super) fn live(&self, index: usize) -> Option<(Namespace, Arc<Session>)> {
        let entry = self.sessions.get(index)?;
        Some((entry.namespace, entry.session()?.clone()))
    }

    /// Answers what came of a message.
    pub(super) fn answer(
        &mut self,
        namespace: Namespace,
        mark: Option<RequestMark>,
        outcome: Result<Value, ApiError>,
    ) {
        match outcome {
            Ok(data) => self.succeed(namespace, mark, data),
            Err(error) => self.fail(namespace, mark, error.code(), error.message()),
        }
    }

    pub(super) fn succeed(
        &mut self,
        namespace: Namespace,
        mark: Option<RequestMark>,
        mut data: Value,
    ) {
        if let Some(mark) = mark {
            if let Some(data) = data.as_object_mut() {
                data.insert("success".to_owned(), true.into());
            }
            self.reply(namespace, mark, data);
        }
    }

    pub(super) fn fail(
        &mut self,
        namespace: Namespace,
        mark: Option<RequestMark>,
        code: &str,
        text: &str,
    ) {
        match mark {
            Some(mark) => self.reply(namespace, mark, failure(code, text)),
            None => self.send_error(namespace, code, text),
        }
    }

    fn reply(&mut self, namespace: Namespace, mark: RequestMark, data: Value) {
        if let Some(frame) = self.codec.reply(namespace, mark, data) {
            self.send(frame);
            self.count_answer(namespace);
        }
    }

    /// Acts on one message that came by `POST /api/send`, while messages are taken at all.
    pub(super) async fn act_on_post(&mut self) -> Result<(), CloseAction> {
        let is_behind = self.sessions.iter().any(NamespaceSession::is_behind);
        if self.writer().transport.is_full(is_behind) {
            return Ok(());
        }
        let mut posts = self
            .sessions
            .iter()
            .map(NamespaceSession::take_post)
            .enumerate();
        let Some((index, post)) = posts.find_map(|(index, post)| Some((index, post?))) else {
            return Ok(());
        };
        // Another may wait.
        self.writer.wake();
        self.count_received(index);
        let request = Some(RequestMark::PostedMessage(post.answer));
        if !self.rate.allows(Instant::now()) {
            self.refuse_rate(index, request);
            return Ok(());
        }
        let message = Message {
            namespace: None,
            kind: post.message_type,
            fields: Fields::new(post.data),
            request,
        };
        Box::pin(self.act(index, message)).await
    }
}
