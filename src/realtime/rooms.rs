//! Joining and leaving rooms by message (`docs/protocol.md#rooms`): `subscribe_room`, `join_room` and their opposites.

use serde_json::{Value, json};

use super::codec::ReplyTo;
use super::command::RoomCommand;
use super::connection::Connection;
use crate::rooms::{self, RoomError, RoomRef};

impl Connection {
    /// Joins or leaves a room. Confirmed once the change is stored, so that a resumed session is in the room again.
    pub(super) async fn change_room(
        &mut self,
        index: usize,
        command: RoomCommand,
        reply_to: Option<ReplyTo>,
    ) {
        let Some((namespace, session)) = self.live_session(index) else {
            return;
        };
        let RoomCommand { room, action } = command;
        let (event_type, key) = action.confirmation();
        let room_json = match &room {
            RoomRef::Name(name) => json!(name),
            RoomRef::Number(number) => json!(number),
        };
        let changed = self.app.store.write(move |tx| match action.joins() {
            true => rooms::join(tx, &session, &room),
            false => rooms::leave(tx, &session, &room),
        });
        match changed.await {
            Ok(()) => {
                let data = Value::Object([(key.to_owned(), room_json)].into_iter().collect());
                self.send_direct(namespace, &event_type, &data);
                self.reply_success(namespace, reply_to, data);
            }
            Err(error) => {
                let code = match &error {
                    RoomError::Forbidden => "forbidden",
                    RoomError::TooMany => "too_many_rooms",
                    RoomError::Store(_) => "unavailable",
                };
                self.reply_error(namespace, reply_to, code, &error.to_string());
            }
        }
    }
}
