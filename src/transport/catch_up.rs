//! Catching up (contract 4.6): a session whose outbox was full, or that comes back with a
//! position, is handed the history a page at a time, as fast as its carrier takes it.

use std::sync::Arc;

use super::connection::{BATCH, Connection};
use super::feed::Recalled;
use super::parting::Parting;
use super::position::Gap;
use super::{codec, ledger};
use crate::event::Kind;
use crate::hub::Ending;
use crate::protocol::Frame;

impl Connection {
    /// Hands one page of history to each session that is behind, as far as the carrier takes it.
    pub(super) async fn catch_up(&mut self) -> Result<(), Parting> {
        if !self.can_send() {
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
                self.gate.enter().carrier.discard_unsent();
                Parting::from(Ending::TryAgain)
            })?;
            let frames: Vec<Frame> = match recalled {
                Recalled::Events(events) => {
                    let frame = |event| codec::frame(self.codec.dialect(), namespace, event);
                    events.iter().map(frame).collect()
                }
                Recalled::TooOld(standing) => {
                    let lost = standing.resync_required(Gap::TooOld);
                    let kind = Kind::RESYNC_REQUIRED;
                    vec![self.codec.direct(namespace, &kind, &lost)]
                }
            };
            let session = slot.session().map(Arc::as_ref);
            ledger::count_sent(&self.app.hub, session, frames.len());
            let mut desk = self.gate.enter();
            for frame in frames {
                desk.carrier.send(frame);
            }
            // Another page may wait although this one held nothing for the carrier to flush.
            self.gate.wake();
        }
        Ok(())
    }
}
