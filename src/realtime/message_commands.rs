//! What a session says of messages (contract 4.5): how far one is, and that somebody writes.

use serde_json::json;

use super::codec::RequestMark;
use super::command::MessageCommand;
use super::connection::Connection;
use crate::http::ApiError;
use crate::messages::{self, MessageError, Participant, Requester};
use wallcast_core::audit::Actor;
use wallcast_core::clock::Timestamp;
use wallcast_core::event::Event;

impl Connection {
    /// Acts on it; what comes of it is told as events, to this session as to any other.
    pub(super) async fn act_on_message(
        &mut self,
        index: usize,
        command: MessageCommand,
        mark: Option<RequestMark>,
    ) {
        let Some((namespace, session)) = self.live(index) else {
            return;
        };
        let subject = session.subject();
        let requester = Participant::of(subject).map(|participant| Requester {
            participant,
            actor: Actor::new(subject, self.peer.shown()),
        });
        let done = match requester {
            None => Err(MessageError::Forbidden),
            Some(requester) => self.do_message(requester, command).await,
        };
        let outcome = done.map(|()| json!({})).map_err(ApiError::from);
        self.answer(namespace, mark, outcome);
    }

    async fn do_message(
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
                let look = self.app.store.read(move |db| {
                    messages::typing(db, &requester, &conversation, is_typing, now)
                });
                self.app.hub.publish(Event::ephemeral(look.await?, now));
                Ok(())
            }
        }
    }
}
