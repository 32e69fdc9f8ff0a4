//! Catching up (contract 4.6): a session whose outbox was full reads on from history at its own
//! pace, and goes back to live events without a gap.

use super::connection::{BATCH, Connection};
use super::parting::Parting;
use super::slot::SlotState;
use crate::auth::entitlement;
use crate::history;
use crate::hub::Ending;
use crate::store::StoreError;

impl Connection {
    /// Hands one page of history to each session that is behind, as far as the carrier takes it.
    pub(super) async fn catch_up(&mut self) -> Result<(), Parting> {
        if !self.carrier.can_send() {
            return Ok(());
        }
        for index in 0..self.slots.len() {
            let told = self.next_page(index).await;
            told.map_err(|error| {
                tracing::warn!(%error, "the history could not be read for a slow session");
                Parting::from(Ending::TryAgain)
            })?;
        }
        Ok(())
    }

    async fn next_page(&mut self, index: usize) -> Result<(), StoreError> {
        let Some(slot) = self.slots.get_mut(index) else {
            return Ok(());
        };
        let (SlotState::Live(session), Some(after)) = (&slot.state, slot.behind) else {
            return Ok(());
        };
        let (session, namespace) = (session.clone(), slot.namespace);
        let (principal, epoch) = (session.principal(), self.app.store.epoch().clone());
        let page = self
            .app
            .store
            .read(move |db| {
                let spans = entitlement::spans(db, &principal, after)?;
                Ok::<_, StoreError>(history::replay(db, &epoch, &spans, after, BATCH)?)
            })
            .await?;
        for event in page
            .events
            .iter()
            .filter(|event| event.kind().is_heard_in(namespace))
        {
            self.carrier.send(self.codec.event(namespace, event));
        }
        slot.behind = Some(page.reached);
        let reached = page.reached;
        let is_live_again = page.is_last
            && self
                .app
                .store
                .between_commits(move |_, last| {
                    if last == reached {
                        session.outbox().catch_up();
                    }
                    Ok::<_, StoreError>(last == reached)
                })
                .await?;
        if is_live_again {
            slot.behind = None;
        }
        // Another page may wait although this one held nothing for the carrier to flush.
        self.signal.wake();
        Ok(())
    }
}
