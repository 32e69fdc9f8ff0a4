//! How far each tablet has acknowledged its events (contract 4.5, `ack`).
//!
//! Written together once a second at most: a tablet may acknowledge every event. What a kill loses of
//! it a tablet's next acknowledgement makes good.

use std::sync::Arc;

use super::rows;
use wallcast_core::event::EventId;
use wallcast_core::ids::ClientId;
use wallcast_core::shutdown::Shutdown;
use wallcast_core::store::{Collected, Store};

/// Acknowledgements that are not written yet.
#[derive(Debug, Default)]
pub struct Acks(Collected<ClientId, EventId>);

impl Acks {
    /// The tablet has done everything up to and with this event. An older one changes nothing.
    pub fn note(&self, client: &ClientId, id: EventId) {
        let newest = |known: Option<EventId>| known.map_or(id, |known| known.max(id));
        self.0.note(client.clone(), newest);
    }

    /// How far a tablet is, of which the store knows `stored`.
    pub fn newest(&self, client: &ClientId, stored: Option<EventId>) -> Option<EventId> {
        self.0.get(client).max(stored)
    }

    /// Writes what was noted, until the daemon stops.
    pub async fn run(self: Arc<Self>, store: Store, shutdown: Shutdown) {
        self.0.run(&store, shutdown, rows::set_acked).await;
    }
}
