//! Ends commands at their time and tells of it, also those whose time came while Wallcast was down.

use std::time::Duration;

use tokio::sync::Notify;

use super::outcome::finish;
use super::{End, Outcome, rows};
use crate::clock::Timestamp;
use crate::shutdown::Shutdown;
use crate::store::{Store, StoreError, WriteTx};

/// Commands that are ended in one write.
const AT_MOST: usize = 100;
/// The pause after a store that could not be written.
const AGAIN_AFTER: Duration = Duration::from_secs(5);
/// An hour at a time: the clock may be set meanwhile.
const LONGEST_SLEEP: Duration = Duration::from_secs(3600);

/// Hears of new commands, which may expire before all others.
#[derive(Debug, Default)]
pub struct Expiry {
    changed: Notify,
}

impl Expiry {
    /// There is a new command.
    pub fn look_again(&self) {
        self.changed.notify_one();
    }

    /// Serves until the daemon stops; asleep while nothing expires.
    pub async fn run(&self, store: Store, shutdown: Shutdown) {
        loop {
            let wait = self.end_overdue(&store).await.unwrap_or_else(|error| {
                tracing::warn!(%error, "commands that expired could not be told; trying again");
                Some(AGAIN_AFTER)
            });
            tokio::select! {
                () = tokio::time::sleep(wait.unwrap_or(LONGEST_SLEEP)) => {}
                () = self.changed.notified() => {}
                () = shutdown.begun() => return,
            }
        }
    }

    /// How long nothing expires now; none while nothing waits.
    async fn end_overdue(&self, store: &Store) -> Result<Option<Duration>, StoreError> {
        let next = || store.read(|db| Ok::<_, StoreError>(rows::next_expiry(db)?));
        loop {
            let Some(at) = next().await? else {
                return Ok(None);
            };
            let ms = at.unix_ms() - Timestamp::now().unix_ms();
            if ms > 0 {
                let wait = Duration::from_millis(u64::try_from(ms).unwrap_or_default() + 1);
                return Ok(Some(wait.min(LONGEST_SLEEP)));
            }
            store.write(|tx| Ok::<_, StoreError>(expire(tx)?)).await?;
        }
    }
}

fn expire(tx: &mut WriteTx<'_>) -> rusqlite::Result<()> {
    for mut command in rows::overdue(tx.connection(), tx.now(), AT_MOST)? {
        let end = End {
            outcome: Outcome::Expired,
            message: None,
            error: "expired".parse().ok(),
            at: tx.now(),
        };
        finish(tx, &mut command, end)?;
    }
    Ok(())
}
