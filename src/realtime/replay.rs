//! Catching up (contract 4.6): a session whose outbox was full, or that comes back with a
//! position, is handed the history a page at a time, as fast as its transport takes it.

use std::sync::Arc;

use super::close_action::CloseAction;
use super::connection::Connection;
use super::position::ResyncReason;
use super::subscription::ReplayPage;
use super::writer_state::BATCH;
use super::{codec, delivery_metrics};
use realtime_protocol::Frame;
use wallcast_core::disconnect::DisconnectReason;
use wallcast_core::event::EventType;

impl Connection {
    /// Hands one page of history to each session that is behind, as far as the transport takes it.
    pub(super) async fn catch_up(&mut self) -> Result<(), CloseAction> {
        if !self.can_send() {
            return Ok(());
        }
        for entry in &mut self.sessions {
            let namespace = entry.namespace;
            let Some(subscription) = entry
                .subscription()
                .filter(|subscription| subscription.is_behind())
            else {
                continue;
            };
            let recalled = Box::pin(subscription.read_on(&self.app.store, BATCH)).await;
            let recalled = recalled.map_err(|error| {
                tracing::warn!(%error, "the history could not be read for a slow session");
                self.writer.lock().discard_queue();
                CloseAction::from(DisconnectReason::TryAgain)
            })?;
            let frames: Vec<Frame> = match recalled {
                ReplayPage::Events(events) => {
                    let frame = |event| codec::frame(self.codec.dialect(), namespace, event);
                    events.iter().map(frame).collect()
                }
                ReplayPage::TooOld(bounds) => {
                    let lost = bounds.resync_required(ResyncReason::TooOld);
                    let kind = EventType::RESYNC_REQUIRED;
                    vec![self.codec.direct(namespace, &kind, &lost)]
                }
            };
            let session = entry.session().map(Arc::as_ref);
            delivery_metrics::count_sent(&self.app.hub, session, frames.len());
            let mut writer = self.writer.lock();
            for frame in frames {
                writer.transport.send(frame);
            }
            // Another page may wait although this one held nothing for the transport to flush.
            self.writer.wake();
        }
        Ok(())
    }
}
