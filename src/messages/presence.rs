//! Tells who has to know that a person came or went, and remembers when it was last here.
//!
//! Connecting writes nothing; the moment is stored when a person's last session ends.

use std::sync::Arc;

use tokio::sync::mpsc;

use super::{Party, events, rows};
use crate::auth::Subject;
use crate::clock::Timestamp;
use crate::event::Event;
use crate::hub::{Hub, Presence};
use crate::ids::UserId;
use crate::store::{Store, StoreError};

/// Serves until the hub is gone. Hears of people alone.
pub async fn run(store: Store, hub: Arc<Hub>, mut changes: mpsc::UnboundedReceiver<Presence>) {
    while let Some(change) = changes.recv().await {
        let Subject::User(user) = change.subject else {
            continue;
        };
        if let Err(error) = tell(&store, &hub, &user, change.sessions > 0).await {
            tracing::warn!(%user, %error, "presence could not be told");
        }
    }
}

async fn tell(store: &Store, hub: &Hub, user: &UserId, is_online: bool) -> Result<(), StoreError> {
    let now = Timestamp::now();
    let party = Party::User(user.clone());
    let sharers = store
        .read(move |db| Ok::<_, StoreError>(rows::sharers(db, &party)?))
        .await?;
    if !is_online {
        let id = user.clone();
        let kept = store.write(move |tx| {
            rows::set_last_seen(tx.connection(), &id, now)?;
            Ok::<_, StoreError>(())
        });
        if let Err(error) = kept.await {
            tracing::warn!(%user, %error, "when a person was last here could not be stored");
        }
    }
    let event = events::presence(user, is_online, now, &sharers, now);
    hub.publish(Event::ephemeral(event, now));
    Ok(())
}
