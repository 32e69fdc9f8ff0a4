//! Tells who has to know that a person came or went, and remembers when it was last here.
//!
//! Connecting writes nothing; the moment is stored when a person's last session ends.

use std::sync::Arc;

use rusqlite::Connection;
use tokio::sync::mpsc;

use super::{Party, events, rows};
use wallcast_core::auth::Subject;
use wallcast_core::clock::Timestamp;
use wallcast_core::event::Event;
use wallcast_core::hub::{Hub, Presence};
use wallcast_core::ids::UserId;
use wallcast_core::store::{Store, StoreError};

/// Changes that are read and written together at most, as when everybody comes back at once.
const TOGETHER: usize = 64;

/// Serves until the hub is gone. Hears of people alone.
pub async fn run(store: Store, hub: Arc<Hub>, mut changes: mpsc::UnboundedReceiver<Presence>) {
    let mut waiting = Vec::new();
    while changes.recv_many(&mut waiting, TOGETHER).await > 0 {
        let people = waiting.drain(..).filter_map(|change| match change.subject {
            Subject::User(user) => Some((user, change.sessions > 0)),
            _ => None,
        });
        if let Err(error) = tell(&store, &hub, people.collect()).await {
            tracing::warn!(%error, "presence could not be told");
        }
    }
}

async fn tell(store: &Store, hub: &Hub, changes: Vec<(UserId, bool)>) -> Result<(), StoreError> {
    let now = Timestamp::now();
    let left = changes.iter().filter(|(_, is_online)| !is_online);
    let left: Vec<_> = left.map(|(user, _)| user.clone()).collect();
    let with_sharers = |db: &Connection, (user, is_online): (UserId, bool)| {
        let sharers = rows::sharers(db, &Party::User(user.clone()))?;
        Ok((user, is_online, sharers))
    };
    let changes = store
        .read(move |db| {
            let changes = changes.into_iter();
            let found = changes.map(|change| with_sharers(db, change));
            found.collect::<Result<Vec<_>, StoreError>>()
        })
        .await?;
    if !left.is_empty() {
        let kept = store.write(move |tx| {
            for user in &left {
                rows::set_last_seen(tx.connection(), user, now)?;
            }
            Ok::<_, StoreError>(())
        });
        if let Err(error) = kept.await {
            tracing::warn!(%error, "when people were last here could not be stored");
        }
    }
    for (user, is_online, sharers) in changes {
        let event = events::presence(&user, is_online, now, &sharers, now);
        hub.publish(Event::ephemeral(event, now));
    }
    Ok(())
}
