//! Sends history to sessions that replay it: their outbox overflowed, or they resumed from a position. One page at
//! a time, as fast as the transport takes it (`docs/protocol.md#replay`).

use std::sync::Arc;

use realtime_protocol::Frame;
use wallcast_core::disconnect::DisconnectReason;
use wallcast_core::event::EventType;

use super::close_action::CloseAction;
use super::connection::Connection;
use super::position::ResyncReason;
use super::subscription::ReplayPage;
use super::writer_state::BATCH;
use super::{codec, delivery_metrics};

impl Connection {
    /// Queues one page of history for each session that replays, once the transport has written the last page.
    pub(super) async fn catch_up(&mut self) -> Result<(), CloseAction> {
        if !self.can_send() {
            return Ok(());
        }
        for session in &mut self.sessions {
            let namespace = session.namespace;
            let Some(subscription) = session
                .subscription()
                .filter(|subscription| subscription.is_replaying())
            else {
                continue;
            };
            let page = Box::pin(subscription.read_page(&self.app.store, BATCH)).await;
            let page = page.map_err(|error| {
                tracing::warn!(%error, "cannot read history to replay");
                self.writer.lock().discard_queue();
                CloseAction::from(DisconnectReason::TryAgain)
            })?;
            let frames: Vec<Frame> = match page {
                ReplayPage::Events(events) => {
                    let frame = |event| codec::frame(self.codec.dialect(), namespace, event);
                    events.iter().map(frame).collect()
                }
                ReplayPage::TooOld(bounds) => {
                    let lost = bounds.resync_required(ResyncReason::TooOld);
                    let event_type = EventType::RESYNC_REQUIRED;
                    vec![self.codec.direct(namespace, &event_type, &lost)]
                }
            };
            let session = session.live_session().map(Arc::as_ref);
            delivery_metrics::count_sent(&self.app.hub, session, frames.len());
            let mut writer = self.writer.lock();
            for frame in frames {
                writer.transport.send(frame);
            }
            // A page may be empty while more history follows; the transport reports no `Flushed` then.
            self.writer.wake();
        }
        Ok(())
    }
}
