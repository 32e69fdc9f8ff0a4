//! Catching up (contract 4.6): a session whose outbox was full, or that comes back with a
//! position, is handed the history a page at a time, as fast as its carrier takes it.

use std::sync::Arc;

use super::connection::{BATCH, Connection};
use super::feed::Recalled;
use super::ledger;
use super::parting::Parting;
use super::position::Gap;
use crate::event::Kind;
use crate::hub::Ending;

impl Connection {
    /// Hands one page of history to each session that is behind, as far as the carrier takes it.
    pub(super) async fn catch_up(&mut self) -> Result<(), Parting> {
        if !self.carrier.can_send() {
            return Ok(());
        }
        for slot in &mut self.slots {
            let namespace = slot.namespace;
            let Some(feed) = slot.feed().filter(|feed| feed.is_behind()) else {
                continue;
            };
            let recalled = Box::pin(feed.read_on(&self.app.store, BATCH)).await;
            let recalled = recalled.map_err(|error| {
                tracing::warn!(%error, "the history could not be read for a slow session");
                self.carrier.discard_unsent();
                Parting::from(Ending::TryAgain)
            })?;
            match recalled {
                Recalled::Events(events) => {
                    for event in &events {
                        self.carrier.send(self.codec.event(namespace, event));
                    }
                    let session = slot.session().map(Arc::as_ref);
                    ledger::count_sent(&self.app.hub, session, events.len());
                }
                Recalled::TooOld(standing) => {
                    let (kind, lost) =
                        (Kind::RESYNC_REQUIRED, standing.resync_required(Gap::TooOld));
                    self.carrier
                        .send(self.codec.direct(namespace, &kind, &lost));
                    let session = slot.session().map(Arc::as_ref);
                    ledger::count_sent(&self.app.hub, session, 1);
                }
            }
            // Another page may wait although this one held nothing for the carrier to flush.
            self.signal.wake();
        }
        Ok(())
    }
}
