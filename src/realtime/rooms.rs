//! Entering and leaving rooms by message (contract 4.5): seed 1 subscribes, seed 3 joins.

use serde_json::{Value, json};

use super::codec::RequestMark;
use super::command::RoomCommand;
use super::connection::Connection;
use crate::rooms::{self, RoomError, RoomRef};

impl Connection {
    /// Enters or leaves a room; told once it is stored, so that a recovered session has it again.
    pub(super) async fn change_room(
        &mut self,
        index: usize,
        command: RoomCommand,
        mark: Option<RequestMark>,
    ) {
        let Some((namespace, session)) = self.live(index) else {
            return;
        };
        let RoomCommand { room, wish } = command;
        let (kind, key) = wish.answer();
        let named = match &room {
            RoomRef::Name(name) => json!(name),
            RoomRef::Number(number) => json!(number),
        };
        let changed = self.app.store.write(move |tx| match wish.enters() {
            true => rooms::join(tx, &session, &room),
            false => rooms::leave(tx, &session, &room),
        });
        match changed.await {
            Ok(()) => {
                let data = Value::Object([(key.to_owned(), named)].into_iter().collect());
                self.send_direct(namespace, &kind, &data);
                self.succeed(namespace, mark, data);
            }
            Err(error) => {
                let code = match &error {
                    RoomError::Forbidden => "forbidden",
                    RoomError::TooMany => "too_many_rooms",
                    RoomError::Store(_) => "unavailable",
                };
                self.fail(namespace, mark, code, &error.to_string());
            }
        }
    }
}
