//! Expires commands and undelivered messages at their time, including those that were due while Wallcast was down. The
//! features `commands` and `messages` do the work.

use std::sync::Arc;
use std::time::Duration;

use wallcast_core::clock::Timestamp;
use wallcast_core::store::StoreError;

use crate::app::App;
use crate::{commands, messages};

/// Rows of each kind that are expired in one write.
const BATCH: usize = 100;
/// The pause after a failed write.
const RETRY_AFTER: Duration = Duration::from_secs(5);
/// An upper bound for sleeping, because the wall clock may be set.
const LONGEST_SLEEP: Duration = Duration::from_secs(3600);

/// Runs until shutdown.
pub(crate) async fn run(app: Arc<App>) {
    loop {
        let wait = expire_due(&app).await.unwrap_or_else(|error| {
            tracing::warn!(%error, "cannot expire commands and messages");
            Some(RETRY_AFTER)
        });
        tokio::select! {
            () = tokio::time::sleep(wait.unwrap_or(LONGEST_SLEEP)) => {}
            () = app.expiry.changed.notified() => {}
            () = app.shutdown.begun() => return,
        }
    }
}

/// Expires what is due. Returns the time until the next expiry; `None` if nothing is left to expire.
async fn expire_due(app: &App) -> Result<Option<Duration>, StoreError> {
    let next = || {
        app.store.read(|db| {
            let expiries = [commands::next_expiry(db)?, messages::next_expiry(db)?];
            Ok::<_, StoreError>(expiries.into_iter().flatten().min())
        })
    };
    loop {
        let Some(at) = next().await? else {
            return Ok(None);
        };
        let ms = at.unix_ms() - Timestamp::now().unix_ms();
        if ms > 0 {
            let wait = Duration::from_millis(u64::try_from(ms).unwrap_or_default() + 1);
            return Ok(Some(wait.min(LONGEST_SLEEP)));
        }
        let expired = app.store.write(|tx| {
            commands::expire(tx, BATCH)?;
            Ok::<_, StoreError>(messages::expire(tx, BATCH)?)
        });
        if expired.await? {
            messages::publish_unread_counts_to_connected(&app.store, &app.hub).await?;
        }
    }
}
