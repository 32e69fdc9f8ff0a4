//! Tells admins that a client came or went, and remembers when it was last here.
//!
//! Connecting writes nothing; the moment is stored when a client's last session ends.

use std::sync::Arc;

use tokio::sync::mpsc;

use super::{events, rows};
use crate::auth::Subject;
use crate::clock::Timestamp;
use crate::event::Event;
use crate::hub::{Hub, Presence};
use crate::ids::ClientId;
use crate::store::{Store, StoreError};

/// Serves until the hub is gone. Hears of clients alone.
pub async fn run(store: Store, hub: Arc<Hub>, mut changes: mpsc::UnboundedReceiver<Presence>) {
    while let Some(change) = changes.recv().await {
        let Subject::Client(client) = change.subject else {
            continue;
        };
        if let Err(error) = tell(&store, &hub, &client, change.sessions).await {
            tracing::warn!(%client, %error, "presence could not be told");
        }
    }
}

async fn tell(
    store: &Store,
    hub: &Hub,
    client: &ClientId,
    sessions: usize,
) -> Result<(), StoreError> {
    let now = Timestamp::now();
    let id = client.clone();
    let client = if sessions == 0 {
        store
            .write(move |tx| {
                rows::set_last_seen(tx.connection(), &id, tx.now())?;
                Ok::<_, StoreError>(rows::find(tx.connection(), &id)?)
            })
            .await?
    } else {
        store
            .read(move |db| Ok::<_, StoreError>(rows::find(db, &id)?))
            .await?
    };
    if let Some(client) = client {
        let event = events::presence(&client.id, &client.name, sessions, now);
        hub.publish(Event::ephemeral(event, now));
        hub.announce(events::announced(&client, sessions, now));
    }
    Ok(())
}
