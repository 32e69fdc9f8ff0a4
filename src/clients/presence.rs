//! Tells admins that a client came or went, and remembers when it was last here.
//!
//! Connecting writes nothing; the moment is stored when a client's last session ends.

use std::sync::Arc;

use rusqlite::Connection;
use tokio::sync::mpsc;

use super::{events, rows};
use wallcast_core::auth::Subject;
use wallcast_core::clock::Timestamp;
use wallcast_core::event::Event;
use wallcast_core::hub::{Hub, Presence};
use wallcast_core::ids::ClientId;
use wallcast_core::store::{Store, StoreError};

/// Changes that are read and written together at most, as when all tablets come back at once.
const TOGETHER: usize = 64;

/// Serves until the hub is gone. Hears of clients alone.
pub async fn run(store: Store, hub: Arc<Hub>, mut changes: mpsc::UnboundedReceiver<Presence>) {
    let mut waiting = Vec::new();
    while changes.recv_many(&mut waiting, TOGETHER).await > 0 {
        let clients = waiting.drain(..).filter_map(|change| match change.subject {
            Subject::Client(client) => Some((client, change.sessions)),
            _ => None,
        });
        if let Err(error) = tell(&store, &hub, clients.collect()).await {
            tracing::warn!(%error, "presence could not be told");
        }
    }
}

async fn tell(store: &Store, hub: &Hub, changes: Vec<(ClientId, usize)>) -> Result<(), StoreError> {
    let now = Timestamp::now();
    let left = changes.iter().filter(|(_, sessions)| *sessions == 0);
    let left: Vec<ClientId> = left.map(|(id, _)| id.clone()).collect();
    if !left.is_empty() {
        let remembered = store.write(move |tx| {
            for id in &left {
                rows::set_last_seen(tx.connection(), id, tx.now())?;
            }
            Ok::<_, StoreError>(())
        });
        if let Err(error) = remembered.await {
            tracing::warn!(%error, "when clients were last here could not be stored");
        }
    }
    let known = move |db: &Connection| {
        let known = |(id, sessions)| Ok(rows::find(db, &id)?.map(|client| (client, sessions)));
        let found = changes.into_iter().map(known);
        found.collect::<Result<Vec<_>, StoreError>>()
    };
    let found = store.read(known).await?;
    for (client, sessions) in found.into_iter().flatten() {
        let event = events::presence(&client.id, &client.name, sessions, now);
        hub.publish(Event::ephemeral(event, now));
        hub.announce(events::announced(&client, sessions, now));
    }
    Ok(())
}
