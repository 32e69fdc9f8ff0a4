//! When each token was first used, for the list of tokens that admins see.
//!
//! Times are collected in memory and written at most once a second, so opening a connection never waits for the disk.
//! If the process is killed, the last second of them is lost; the token's next use then counts as its first. Tokens
//! that complete a pairing are the exception: [`super::mark_first_use`] stores their first use at once.

use std::sync::Arc;

use rusqlite::Connection;
use wallcast_core::clock::Timestamp;
use wallcast_core::ids::Jti;
use wallcast_core::shutdown::Shutdown;
use wallcast_core::store::{Store, WriteBehind};

use super::rows;

/// First uses that are not yet in the database.
#[derive(Debug, Default)]
pub struct FirstUseTimes(WriteBehind<Jti, Timestamp>);

impl FirstUseTimes {
    /// Records that a valid token was used at `at`; an earlier recorded time stays.
    pub fn record(&self, jti: Jti, at: Timestamp) {
        self.0.note(jti, |earlier| earlier.unwrap_or(at));
    }

    /// When the token was first used, given what the database holds.
    pub fn first_use(&self, jti: &Jti, stored: Option<Timestamp>) -> Option<Timestamp> {
        stored.or_else(|| self.0.get(jti))
    }

    /// Writes collected times until shutdown.
    pub async fn run(self: Arc<Self>, store: Store, shutdown: Shutdown) {
        let write = |db: &Connection, jti: &Jti, at| rows::mark_first_use(db, jti, at).map(drop);
        self.0.run(&store, shutdown, write).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn earliest_use_wins_and_stored_one_before_it() {
        let times = FirstUseTimes::default();
        let (jti, at) = (Jti::random(), Timestamp::from_unix_ms);
        assert_eq!(times.first_use(&jti, None), None);
        times.record(jti.clone(), at(5));
        times.record(jti.clone(), at(6));
        assert_eq!(times.first_use(&jti, None), Some(at(5)));
        assert_eq!(times.first_use(&jti, Some(at(4))), Some(at(4)));
    }
}
