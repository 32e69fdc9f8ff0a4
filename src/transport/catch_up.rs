//! Catching up (contract 4.6): a session whose outbox was full, or that comes back with a
//! position, reads on from history at its own pace, and goes over to live events without a gap.

use super::connection::{BATCH, Connection};
use super::ledger;
use super::parting::Parting;
use super::slot::{Behind, SlotState};
use crate::auth::entitlement;
use crate::event::Event;
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
                self.carrier.discard_unsent();
                Parting::from(Ending::TryAgain)
            })?;
        }
        Ok(())
    }

    async fn next_page(&mut self, index: usize) -> Result<(), StoreError> {
        let Some(slot) = self.slots.get_mut(index) else {
            return Ok(());
        };
        let SlotState::Live(session) = &slot.state else {
            return Ok(());
        };
        let (session, namespace) = (session.clone(), slot.namespace);
        let Some(&mut Behind { reached, until }) = slot.behind() else {
            return Ok(());
        };
        let id = session.id().clone();
        let (principal, epoch) = (session.principal(), self.app.store.epoch().clone());
        let page = self
            .app
            .store
            .read(move |db| {
                let mut spans = entitlement::spans(db, &principal, reached)?;
                spans.extend(entitlement::rooms(db, &id, reached)?);
                let of_namespace = entitlement::of_namespace(&principal.subject, namespace);
                spans.extend(of_namespace.map(history::Span::always));
                let page = history::replay(db, &epoch, &spans, reached, until, BATCH)?;
                Ok::<_, StoreError>(page)
            })
            .await?;
        let heard = |event: &&Event| event.kind().is_heard_in(namespace);
        let events: Vec<_> = page.events.iter().filter(heard).collect();
        for event in &events {
            self.carrier.send(self.codec.event(namespace, event));
        }
        ledger::count_sent(&self.app.hub, Some(&session), events.len());
        if let Some(behind) = slot.behind() {
            behind.reached = page.reached;
        }
        let reached = page.reached;
        let is_caught_up = match (page.is_last, until) {
            (false, _) => false,
            (true, Some(_)) => true,
            (true, None) => {
                let at_the_end = move |_: &_, last| {
                    if last == reached {
                        session.outbox().catch_up();
                    }
                    Ok::<_, StoreError>(last == reached)
                };
                self.app.store.between_commits(at_the_end).await?
            }
        };
        if is_caught_up {
            slot.caught_up();
        }
        // Another page may wait although this one held nothing for the carrier to flush.
        self.signal.wake();
        Ok(())
    }
}
