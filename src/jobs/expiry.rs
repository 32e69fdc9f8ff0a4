//! Wakes at the time of what ends by itself, commands and unread messages, also of what ended while
//! Wallcast was down. What an end comes to is known to the slice of the thing.

use std::sync::Arc;
use std::time::Duration;

use crate::app::App;
use crate::{commands, messages};
use wallcast_core::clock::Timestamp;
use wallcast_core::store::StoreError;

/// Things that are ended in one write.
const AT_MOST: usize = 100;
/// The pause after a store that could not be written.
const AGAIN_AFTER: Duration = Duration::from_secs(5);
/// An hour at a time: the clock may be set meanwhile.
const LONGEST_SLEEP: Duration = Duration::from_secs(3600);

/// Serves until the daemon stops; asleep while nothing ends.
pub(crate) async fn run(app: Arc<App>) {
    loop {
        let wait = end_overdue(&app).await.unwrap_or_else(|error| {
            tracing::warn!(%error, "what has expired could not be told; trying again");
            Some(AGAIN_AFTER)
        });
        tokio::select! {
            () = tokio::time::sleep(wait.unwrap_or(LONGEST_SLEEP)) => {}
            () = app.expiry.changed.notified() => {}
            () = app.shutdown.begun() => return,
        }
    }
}

/// How long nothing ends now; none while nothing waits.
async fn end_overdue(app: &App) -> Result<Option<Duration>, StoreError> {
    let next = || {
        app.store.read(|db| {
            let ends = [commands::next_expiry(db)?, messages::next_expiry(db)?];
            Ok::<_, StoreError>(ends.into_iter().flatten().min())
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
        let end = app.store.write(|tx| {
            commands::expire(tx, AT_MOST)?;
            Ok::<_, StoreError>(messages::expire(tx, AT_MOST)?)
        });
        if end.await? {
            messages::publish_unread_counts_to_connected(&app.store, &app.hub).await?;
        }
    }
}
