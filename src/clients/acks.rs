//! The newest event that each client has acknowledged with an `ack` message.
//!
//! Acknowledgements are collected in memory and written at most once a second, because a client may acknowledge every
//! event. If the process is killed, the last second of them is lost; the client's next acknowledgement replaces it.

use std::sync::Arc;

use wallcast_core::event::EventId;
use wallcast_core::ids::ClientId;
use wallcast_core::shutdown::Shutdown;
use wallcast_core::store::{Store, WriteBehind};

use super::rows;

/// Acknowledgements that are not yet in the database.
#[derive(Debug, Default)]
pub struct Acks(WriteBehind<ClientId, EventId>);

impl Acks {
    /// Records that the client has handled every event up to and including `id`. An older id changes nothing.
    pub fn record(&self, client: &ClientId, id: EventId) {
        let newest = |known: Option<EventId>| known.map_or(id, |known| known.max(id));
        self.0.note(client.clone(), newest);
    }

    /// The newest acknowledged event, given the one that the database holds.
    pub fn newest(&self, client: &ClientId, stored: Option<EventId>) -> Option<EventId> {
        self.0.get(client).max(stored)
    }

    /// Writes collected acknowledgements until shutdown.
    pub async fn run(self: Arc<Self>, store: Store, shutdown: Shutdown) {
        self.0.run(&store, shutdown, rows::set_acked).await;
    }
}
