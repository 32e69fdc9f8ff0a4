//! Acts on a session's messages and replies to them. The work of each command is in a file of its own.

use std::sync::Arc;

use serde_json::{Value, json};
use tokio::time::Instant;
use wallcast_core::auth::Subject;
use wallcast_core::clock::Timestamp;
use wallcast_core::event::{EventId, EventType, Namespace};
use wallcast_core::hub::Session;

use super::close_action::CloseAction;
use super::codec::{InvalidMessage, Message, ReplyTo, failure};
use super::command::Command;
use super::connection::Connection;
use super::namespace_session::NamespaceSession;
use crate::http::{ApiError, Fields};
use crate::messages::{self, Participant};

impl Connection {
    /// Acts on a message of the session at `index`.
    pub(super) async fn act(&mut self, index: usize, message: Message) -> Result<(), CloseAction> {
        let Some(session) = self.sessions.get(index) else {
            return Ok(());
        };
        if let Some(live) = session.live_session() {
            // Keeps the dispatcher from writing events before the reply, which may take a while.
            live.outbox().block_dispatch();
        }
        let (namespace, is_live) = (session.namespace, session.is_live());
        let reply_to = message.reply_to;
        let command = Command::parse(&message.message_type, message.fields);
        if !is_live && !matches!(command, Ok(Command::Authenticate(_))) {
            let text = "Authenticate first; other messages are not accepted until then";
            self.reply_error(namespace, reply_to, "unauthenticated", text);
            return Ok(());
        }
        match command {
            Ok(Command::Authenticate(claimed)) => {
                self.authenticate(index, claimed, reply_to).await?
            }
            Ok(Command::Ping) => {
                let now = json!({ "timestamp": Timestamp::now() });
                self.send_direct(namespace, &EventType::PONG, &now);
                self.reply_success(namespace, reply_to, now);
            }
            Ok(Command::Resume {
                position,
                connection,
            }) => self.resume(index, position, connection, reply_to).await?,
            Ok(Command::Room(command)) => self.change_room(index, command, reply_to).await,
            Ok(Command::Organization(command)) => {
                self.change_organization(index, command, reply_to).await;
            }
            Ok(Command::Help(command)) => self.request_help(index, command, reply_to).await,
            Ok(Command::Report(report)) => self.report_result(index, report, reply_to).await,
            Ok(Command::Ack(id)) => self.acknowledge(index, id, reply_to).await,
            Ok(Command::Entity(command)) => self.act_on_entities(index, command, reply_to),
            Ok(Command::Message(command)) => self.act_on_message(index, command, reply_to).await,
            Err(error) => self.reply_error(namespace, reply_to, error.code(), error.message()),
        }
        Ok(())
    }

    /// Handles `ack`: the client has processed every event up to and including `id`. Marks its messages as delivered.
    /// For a tablet, also records the position, which marks its commands as delivered.
    async fn acknowledge(&mut self, index: usize, id: EventId, reply_to: Option<ReplyTo>) {
        let Some(session) = self.sessions.get(index) else {
            return;
        };
        let namespace = session.namespace;
        if id > self.app.hub.last_event() {
            let text = "`id` must be the id of an event that was already published";
            return self.reply_error(namespace, reply_to, "invalid_field", text);
        }
        // In a namespace without commands an ack does not prove that the tablet received them.
        if let Some(Subject::Client(client)) = session.subject()
            && EventType::COMMAND.is_delivered_in(namespace)
        {
            self.app.acks.record(client, id);
        }
        // Messages are delivered in the main namespace only.
        if namespace == Namespace::Main
            && let Some(participant) = session.subject().and_then(Participant::of)
            && let Err(error) = messages::acknowledge(&self.app.store, participant, id).await
        {
            tracing::warn!(%error, "cannot mark messages as delivered");
        }
        self.reply_success(namespace, reply_to, json!({ "id": id }));
    }

    /// Answers a message over the rate limit with an error and keeps the connection.
    pub(super) fn reject_over_rate(&mut self, index: usize, reply_to: Option<ReplyTo>) {
        if let Some(session) = self.sessions.get(index) {
            let namespace = session.namespace;
            let text = "Too many messages in one second; this one was ignored";
            self.reply_error(namespace, reply_to, "rate_limited", text);
        }
    }

    /// Answers a malformed message with an error and keeps the connection.
    pub(super) fn reject_invalid(&mut self, index: usize, message: InvalidMessage) {
        if let Some(session) = self.sessions.get(index) {
            let namespace = session.namespace;
            self.reply_error(namespace, message.reply_to, "invalid_message", message.text);
        }
    }

    /// The namespace and hub session at `index`, if it is live.
    pub(super) fn live_session(&self, index: usize) -> Option<(Namespace, Arc<Session>)> {
        let session = self.sessions.get(index)?;
        Some((session.namespace, session.live_session()?.clone()))
    }

    pub(super) fn reply_result(
        &mut self,
        namespace: Namespace,
        reply_to: Option<ReplyTo>,
        result: Result<Value, ApiError>,
    ) {
        match result {
            Ok(data) => self.reply_success(namespace, reply_to, data),
            Err(error) => self.reply_error(namespace, reply_to, error.code(), error.message()),
        }
    }

    /// Replies with `data` and `success: true`, if the client asked for a reply.
    pub(super) fn reply_success(
        &mut self,
        namespace: Namespace,
        reply_to: Option<ReplyTo>,
        mut data: Value,
    ) {
        if let Some(reply_to) = reply_to {
            if let Some(data) = data.as_object_mut() {
                data.insert("success".to_owned(), true.into());
            }
            self.send_reply(namespace, reply_to, data);
        }
    }

    /// Replies with an error; sends an `error` event if the client asked for no reply.
    pub(super) fn reply_error(
        &mut self,
        namespace: Namespace,
        reply_to: Option<ReplyTo>,
        code: &str,
        text: &str,
    ) {
        match reply_to {
            Some(reply_to) => self.send_reply(namespace, reply_to, failure(code, text)),
            None => self.send_error(namespace, code, text),
        }
    }

    fn send_reply(&mut self, namespace: Namespace, reply_to: ReplyTo, data: Value) {
        if let Some(frame) = self.codec.reply(namespace, reply_to, data) {
            self.send(frame);
            self.count_sent(namespace);
        }
    }

    /// Acts on one message that came by `POST /api/send`, unless reading is paused.
    pub(super) async fn act_on_posted_message(&mut self) -> Result<(), CloseAction> {
        let is_replaying = self.sessions.iter().any(NamespaceSession::is_replaying);
        if self.writer().transport.pauses_reading(is_replaying) {
            return Ok(());
        }
        let mut posts = self
            .sessions
            .iter()
            .map(NamespaceSession::take_posted)
            .enumerate();
        let Some((index, post)) = posts.find_map(|(index, post)| Some((index, post?))) else {
            return Ok(());
        };
        // More messages may be queued.
        self.writer.wake();
        self.count_received(index);
        let reply_to = Some(ReplyTo::Http(post.reply_sender));
        if !self.rate.allows(Instant::now()) {
            self.reject_over_rate(index, reply_to);
            return Ok(());
        }
        let message = Message {
            namespace: None,
            message_type: post.message_type,
            fields: Fields::new(post.data),
            reply_to,
        };
        Box::pin(self.act(index, message)).await
    }
}
