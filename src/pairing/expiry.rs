//! Ends what has waited too long, and tells admins and the waiting tablet.

use std::sync::Arc;
use std::time::Duration;

use super::{Over, Pairings, events};
use wallcast_core::auth::Subject;
use wallcast_core::clock::Timestamp;
use wallcast_core::disconnect::{DisconnectReason, SessionFilter};
use wallcast_core::event::{EventType, Topic};
use wallcast_core::store::{Store, StoreError, WriteTx};

/// The pause after a store that could not keep what was to be told.
const AGAIN_AFTER: Duration = Duration::from_secs(5);

/// Serves for ever; asleep while nothing waits.
pub async fn run(store: Store, pairings: Arc<Pairings>) {
    loop {
        let over = pairings.take_over(Timestamp::now());
        if !over.is_empty() {
            let telling = over.clone();
            let told = store.write(move |tx| Ok::<_, StoreError>(tell(tx, &telling)?));
            if let Err(error) = told.await {
                tracing::warn!(%error, "pairings that are over could not be told; trying again");
                pairings.tell_later(over);
                tokio::time::sleep(AGAIN_AFTER).await;
                continue;
            }
        }
        match pairings.next_expiry() {
            None => pairings.changed().await,
            Some(at) => {
                let ms = at.unix_ms() - Timestamp::now().unix_ms();
                let wait = Duration::from_millis(u64::try_from(ms).unwrap_or(0) + 1);
                tokio::select! {
                    () = tokio::time::sleep(wait) => {}
                    () = pairings.changed() => {}
                }
            }
        }
    }
}

/// Tells that these pairings are over and closes the sockets that wait for them.
///
/// # Errors
/// SQLite's.
pub fn tell(tx: &mut WriteTx<'_>, over: &[Over]) -> rusqlite::Result<()> {
    for Over { id, reason } in over {
        tx.publish(events::ended(
            EventType::PAIRING_EXPIRED,
            id,
            reason,
            Topic::Admins,
        ))?;
        let waiting = Topic::Pairing(id.clone());
        let final_event = events::ended(EventType::PAIRING_EXPIRED, id, reason, waiting);
        let filter = SessionFilter::Subject(Subject::Pairing(id.clone()));
        tx.end_sessions(filter, DisconnectReason::Unauthenticated, Some(final_event));
    }
    Ok(())
}
