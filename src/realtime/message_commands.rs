//! Messages about messages: `message_status` and `typing`.

use serde_json::json;
use wallcast_core::audit::Actor;
use wallcast_core::clock::Timestamp;
use wallcast_core::event::Event;

use super::codec::ReplyTo;
use super::command::MessageCommand;
use super::connection::Connection;
use crate::http::ApiError;
use crate::messages::{self, MessageError, Participant, Requester};

impl Connection {
    /// Acts on the command. Its effects are published as events, also to this session.
    pub(super) async fn act_on_message(
        &mut self,
        index: usize,
        command: MessageCommand,
        reply_to: Option<ReplyTo>,
    ) {
        let Some((namespace, session)) = self.live_session(index) else {
            return;
        };
        let subject = session.subject();
        let requester = Participant::of(subject).map(|participant| Requester {
            participant,
            actor: Actor::new(subject, self.peer.shown()),
        });
        let result = match requester {
            None => Err(MessageError::Forbidden),
            Some(requester) => self.apply_message_command(requester, command).await,
        };
        let result = result.map(|()| json!({})).map_err(ApiError::from);
        self.reply_result(namespace, reply_to, result);
    }

    async fn apply_message_command(
        &self,
        requester: Requester,
        command: MessageCommand,
    ) -> Result<(), MessageError> {
        match command {
            MessageCommand::Status { message, status } => {
                let change = self
                    .app
                    .store
                    .write(move |tx| messages::set_status(tx, &requester, &message, status));
                change.await.map(|_| ())
            }
            MessageCommand::Typing {
                conversation,
                is_typing,
            } => {
                let now = Timestamp::now();
                let typing = self.app.store.read(move |db| {
                    messages::typing(db, &requester, &conversation, is_typing, now)
                });
                self.app.hub.publish(Event::ephemeral(typing.await?, now));
                Ok(())
            }
        }
    }
}
