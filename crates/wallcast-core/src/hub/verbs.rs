//! What the seeds' own servers call: telling, in the words of seeds 0 and 3. Nothing told here is
//! kept; what is to be replayed goes through `store::WriteTx`.

use serde::Serialize;

use super::Hub;
use crate::auth::Subject;
use crate::clock::Timestamp;
use crate::disconnect::{DisconnectReason, EndSessions, SessionFilter};
use crate::event::{Event, EventType, Namespace, NewEvent, Topic};
use crate::ids::{AreaId, ClientId, RoomName};

impl Hub {
    /// Seed 0: tells one client, in all its sessions. Returns how many sessions were told, as all
    /// of these do.
    pub fn notify_client(
        &self,
        client: &ClientId,
        kind: EventType,
        data: &impl Serialize,
    ) -> usize {
        self.emit(vec![Topic::Client(client.clone())], kind, data)
    }

    /// Seed 0: tells every client that has the area.
    pub fn notify_clients_with_area(
        &self,
        area: &AreaId,
        kind: EventType,
        data: &impl Serialize,
    ) -> usize {
        self.emit(vec![Topic::Area(area.clone())], kind, data)
    }

    /// Seed 0: tells every session that has proven who it is.
    pub fn notify_all(&self, kind: EventType, data: &impl Serialize) -> usize {
        self.emit(vec![Topic::All], kind, data)
    }

    /// Seed 0: ends every session of a client. Returns how many that were.
    pub fn disconnect_client(&self, client: &ClientId, reason: DisconnectReason) -> usize {
        self.end(EndSessions {
            filter: SessionFilter::Subject(Subject::Client(client.clone())),
            reason,
            final_event: None,
        })
    }

    /// Seed 3: tells every session of a namespace.
    pub fn broadcast(&self, namespace: Namespace, kind: EventType, data: &impl Serialize) -> usize {
        self.emit(vec![Topic::Namespace(namespace)], kind, data)
    }

    /// Seed 3: tells the sessions of a namespace that are in this room.
    pub fn broadcast_to_room(
        &self,
        namespace: Namespace,
        room: &RoomName,
        kind: EventType,
        data: &impl Serialize,
    ) -> usize {
        self.emit(vec![Topic::Room(namespace, room.clone())], kind, data)
    }

    /// Seed 3's `emit…`, whatever the event: tells whoever listens on one of the topics.
    pub fn emit(&self, topics: Vec<Topic>, kind: EventType, data: &impl Serialize) -> usize {
        let event = NewEvent::new(kind, data, topics);
        self.publish(Event::ephemeral(event, Timestamp::now()))
    }
}
