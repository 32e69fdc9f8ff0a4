//! Publishes `presence` when a person connects or disconnects, and stores when people were last
//! online.
//!
//! Connecting writes nothing. The time is stored when a person's last session ends.

use std::sync::Arc;

use rusqlite::Connection;
use tokio::sync::mpsc;
use wallcast_core::auth::Subject;
use wallcast_core::clock::Timestamp;
use wallcast_core::event::Event;
use wallcast_core::hub::{Hub, Presence};
use wallcast_core::ids::UserId;
use wallcast_core::store::{Store, StoreError};

use super::participant::Participant;
use super::{events, rows};

/// Changes that are read and written together, as when everybody reconnects at once.
const BATCH_SIZE: usize = 64;

/// Handles presence changes until the hub is gone. Ignores all but people.
pub async fn run(store: Store, hub: Arc<Hub>, mut changes: mpsc::UnboundedReceiver<Presence>) {
    let mut batch = Vec::new();
    while changes.recv_many(&mut batch, BATCH_SIZE).await > 0 {
        let people = batch.drain(..).filter_map(|change| match change.subject {
            Subject::User(user) => Some((user, change.sessions > 0)),
            _ => None,
        });
        if let Err(error) = publish(&store, &hub, people.collect()).await {
            tracing::warn!(%error, "presence not published");
        }
    }
}

async fn publish(store: &Store, hub: &Hub, changes: Vec<(UserId, bool)>) -> Result<(), StoreError> {
    let now = Timestamp::now();
    let offline = changes.iter().filter(|(_, is_online)| !is_online);
    let offline: Vec<_> = offline.map(|(user, _)| user.clone()).collect();
    let with_partners = |db: &Connection, (user, is_online): (UserId, bool)| {
        let partners = rows::conversation_partners(db, &Participant::User(user.clone()))?;
        Ok((user, is_online, partners))
    };
    let changes = store
        .read(move |db| {
            let changes = changes.into_iter();
            let found = changes.map(|change| with_partners(db, change));
            found.collect::<Result<Vec<_>, StoreError>>()
        })
        .await?;
    if !offline.is_empty() {
        let stored = store.write(move |tx| {
            for user in &offline {
                rows::set_last_seen(tx.connection(), user, now)?;
            }
            Ok::<_, StoreError>(())
        });
        if let Err(error) = stored.await {
            tracing::warn!(%error, "last-seen times not stored");
        }
    }
    for (user, is_online, partners) in changes {
        let event = events::presence(&user, is_online, now, &partners, now);
        hub.publish(Event::ephemeral(event, now));
    }
    Ok(())
}
