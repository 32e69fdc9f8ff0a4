//! Ends what has waited too long, and tells admins and the waiting tablet.

use std::sync::Arc;
use std::time::Duration;

use super::{Pairings, events};
use crate::auth::Subject;
use crate::clock::Timestamp;
use crate::event::{Kind, Topic};
use crate::hub::{Ending, Whom};
use crate::ids::PairingId;
use crate::store::{Store, StoreError, WriteTx};

/// Serves for ever; asleep while nothing waits.
pub async fn run(store: Store, pairings: Arc<Pairings>) {
    loop {
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
        let expired = pairings.take_expired(Timestamp::now());
        if !expired.is_empty() {
            let told = store.write(move |tx| {
                tell(tx, &expired, "expired")?;
                Ok::<_, StoreError>(())
            });
            if let Err(error) = told.await {
                tracing::warn!(%error, "expired pairings could not be told");
            }
        }
    }
}

/// Tells that these pairings are over and closes the sockets that wait for them.
///
/// # Errors
/// SQLite's.
pub fn tell(tx: &mut WriteTx<'_>, ids: &[PairingId], reason: &str) -> rusqlite::Result<()> {
    for id in ids {
        tx.publish(events::ended(
            Kind::PAIRING_EXPIRED,
            id,
            reason,
            Topic::Admins,
        ))?;
        let waiting = Topic::Pairing(id.clone());
        let last_words = events::ended(Kind::PAIRING_EXPIRED, id, reason, waiting);
        let whom = Whom::Subject(Subject::Pairing(id.clone()));
        tx.end_sessions(whom, Ending::Unauthenticated, Some(last_words));
    }
    Ok(())
}
