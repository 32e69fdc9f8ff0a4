//! Publishes that a client went online or offline, and stores when it was last seen.
//!
//! Opening a session writes nothing to the database; `last_seen_at` is stored when the client's last session ends.

use std::sync::Arc;

use rusqlite::Connection;
use tokio::sync::mpsc;
use wallcast_core::auth::Subject;
use wallcast_core::clock::Timestamp;
use wallcast_core::event::Event;
use wallcast_core::hub::{Hub, Presence};
use wallcast_core::ids::ClientId;
use wallcast_core::store::{Store, StoreError};

use super::{events, rows};

/// The most changes handled with one read and one write. After a restart all clients connect at about the same time.
const MAX_BATCH: usize = 64;

/// Runs until the hub is dropped. Ignores presence of principals other than clients.
pub async fn run(store: Store, hub: Arc<Hub>, mut changes: mpsc::UnboundedReceiver<Presence>) {
    let mut batch = Vec::new();
    while changes.recv_many(&mut batch, MAX_BATCH).await > 0 {
        let clients = batch.drain(..).filter_map(|change| match change.subject {
            Subject::Client(client) => Some((client, change.sessions)),
            _ => None,
        });
        if let Err(error) = publish_presence(&store, &hub, clients.collect()).await {
            tracing::warn!(%error, "cannot publish the presence of clients");
        }
    }
}

/// `changes`: each client with the number of its open sessions.
async fn publish_presence(
    store: &Store,
    hub: &Hub,
    changes: Vec<(ClientId, usize)>,
) -> Result<(), StoreError> {
    let now = Timestamp::now();
    let offline = changes.iter().filter(|(_, sessions)| *sessions == 0);
    let offline: Vec<ClientId> = offline.map(|(id, _)| id.clone()).collect();
    if !offline.is_empty() {
        let written = store.write(move |tx| {
            for id in &offline {
                rows::set_last_seen(tx.connection(), id, tx.now())?;
            }
            Ok::<_, StoreError>(())
        });
        if let Err(error) = written.await {
            tracing::warn!(%error, "cannot store when clients were last seen");
        }
    }
    // A client that was deleted meanwhile is skipped.
    let read_clients = move |db: &Connection| {
        let find = |(id, sessions)| Ok(rows::find(db, &id)?.map(|client| (client, sessions)));
        let found = changes.into_iter().map(find);
        found.collect::<Result<Vec<_>, StoreError>>()
    };
    let clients = store.read(read_clients).await?;
    for (client, sessions) in clients.into_iter().flatten() {
        let event = events::presence(&client.id, &client.name, sessions, now);
        hub.publish(Event::ephemeral(event, now));
        hub.announce(events::announcement(&client, sessions, now));
    }
    Ok(())
}
