//! Ends pairings that have expired: notifies admins and closes the waiting tablet's sessions.

use std::sync::Arc;
use std::time::Duration;

use wallcast_core::auth::Subject;
use wallcast_core::clock::Timestamp;
use wallcast_core::disconnect::{DisconnectReason, SessionFilter};
use wallcast_core::event::{EventType, Topic};
use wallcast_core::store::{Store, StoreError, WriteTx};

use super::events;
use super::registry::{EndedPairing, PairingRegistry};

/// The pause after a failed write.
const RETRY_AFTER: Duration = Duration::from_secs(5);

/// Never returns; sleeps until the next pairing expires.
pub async fn run(store: Store, pairings: Arc<PairingRegistry>) {
    loop {
        let ended = pairings.take_ended(Timestamp::now());
        if !ended.is_empty() {
            let batch = ended.clone();
            let published = store.write(move |tx| Ok::<_, StoreError>(publish_ended(tx, &batch)?));
            if let Err(error) = published.await {
                tracing::warn!(%error, "cannot publish ended pairings; retrying");
                pairings.requeue_ended(ended);
                tokio::time::sleep(RETRY_AFTER).await;
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

/// Publishes `pairing_expired` for these pairings and ends the sessions that wait for them.
pub fn publish_ended(tx: &mut WriteTx<'_>, ended: &[EndedPairing]) -> rusqlite::Result<()> {
    for EndedPairing { id, reason } in ended {
        tx.publish(events::ended(
            EventType::PAIRING_EXPIRED,
            id,
            reason,
            Topic::Admins,
        ))?;
        let topic = Topic::Pairing(id.clone());
        let final_event = events::ended(EventType::PAIRING_EXPIRED, id, reason, topic);
        let filter = SessionFilter::Subject(Subject::Pairing(id.clone()));
        tx.end_sessions(filter, DisconnectReason::Unauthenticated, Some(final_event));
    }
    Ok(())
}
