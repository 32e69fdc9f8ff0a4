//! The `resume` message: a live session replays what it missed before it connected (`docs/protocol.md#replay`).

use serde_json::json;
use wallcast_core::disconnect::DisconnectReason;
use wallcast_core::event::EventType;
use wallcast_core::ids::ConnectionId;
use wallcast_core::store::StoreError;

use super::close_action::CloseAction;
use super::codec::ReplyTo;
use super::connection::Connection;
use super::position::{HistoryBounds, ResumePosition};
use crate::rooms;

impl Connection {
    /// Replays the events after `position` that this session has not received, and takes over the session `old`.
    pub(super) async fn resume(
        &mut self,
        index: usize,
        position: ResumePosition,
        old: Option<ConnectionId>,
        reply_to: Option<ReplyTo>,
    ) -> Result<(), CloseAction> {
        let Some(session) = self.sessions.get_mut(index) else {
            return Ok(());
        };
        let namespace = session.namespace;
        let Some(subscription) = session.subscription() else {
            return Ok(());
        };
        let epoch = self.app.store.epoch().clone();
        let read = move |db: &_, last| Ok::<_, StoreError>(HistoryBounds::read(db, epoch, last)?);
        let bounds = self.app.store.read_at_commit(read).await;
        let bounds = bounds.map_err(|error| {
            tracing::warn!(%error, "cannot read history to resume a session");
            self.writer.lock().discard_queue();
            CloseAction::from(DisconnectReason::TryAgain)
        })?;
        if let Some(old) = old {
            self.app.hub.take_over(subscription.session(), &old);
            let hub_session = subscription.session().clone();
            let taken = self
                .app
                .store
                .write(move |tx| rooms::take_over(tx, &hub_session, &old));
            taken.await.map_err(|error| {
                tracing::warn!(%error, "cannot take over the rooms of a resumed session");
                self.writer.lock().discard_queue();
                CloseAction::from(DisconnectReason::TryAgain)
            })?;
        }
        let lost = bounds.check(&position).err();
        match lost {
            None => {
                if let Some(until) = subscription.rewind(position.id) {
                    self.app
                        .hub
                        .note_replay_start(subscription.session().id(), until);
                }
            }
            Some(reason) => {
                let data = bounds.resync_required(reason);
                self.send_direct(namespace, &EventType::RESYNC_REQUIRED, &data);
            }
        }
        let data = json!({
            "recovered": lost.is_none(),
            "epoch": bounds.epoch.as_str(),
            "lastEventId": bounds.last,
        });
        self.reply_success(namespace, reply_to, data);
        Ok(())
    }
}
