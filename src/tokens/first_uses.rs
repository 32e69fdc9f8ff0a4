//! When tokens that answer no pairing were first used, for the list that admins see.
//!
//! Written together once a second at most: connecting waits for no disk (contract 4.1). What a kill
//! loses of it the token's next use makes good.

use std::sync::Arc;

use rusqlite::Connection;

use super::rows;
use wallcast_core::clock::Timestamp;
use wallcast_core::ids::Jti;
use wallcast_core::shutdown::Shutdown;
use wallcast_core::store::{Collected, Store};

/// First uses that are not written yet.
#[derive(Debug, Default)]
pub struct FirstUses(Collected<Jti, Timestamp>);

impl FirstUses {
    /// A token that stands was used at `at`; an earlier use is not forgotten for it.
    pub fn note(&self, jti: Jti, at: Timestamp) {
        self.0.note(jti, |earlier| earlier.unwrap_or(at));
    }

    /// When a token was first used, of which the store knows `stored`.
    pub fn known(&self, jti: &Jti, stored: Option<Timestamp>) -> Option<Timestamp> {
        stored.or_else(|| self.0.get(jti))
    }

    /// Writes what was noted, until the daemon stops.
    pub async fn run(self: Arc<Self>, store: Store, shutdown: Shutdown) {
        let mark = |db: &Connection, jti: &Jti, at| rows::mark_first_use(db, jti, at).map(drop);
        self.0.run(&store, shutdown, mark).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_use_counts_and_what_is_stored_before_it() {
        let uses = FirstUses::default();
        let (jti, at) = (Jti::random(), Timestamp::from_unix_ms);
        assert_eq!(uses.known(&jti, None), None);
        uses.note(jti.clone(), at(5));
        uses.note(jti.clone(), at(6));
        assert_eq!(uses.known(&jti, None), Some(at(5)));
        assert_eq!(uses.known(&jti, Some(at(4))), Some(at(4)));
    }
}
