//! `resume` (contract 4.5): a session that is live already asks for what it missed before.

use serde_json::json;

use super::close_action::CloseAction;
use super::codec::RequestMark;
use super::connection::Connection;
use super::position::{HistoryBounds, ResumePosition};
use crate::rooms;
use wallcast_core::disconnect::DisconnectReason;
use wallcast_core::event::EventType;
use wallcast_core::ids::ConnectionId;
use wallcast_core::store::StoreError;

impl Connection {
    /// Tells what came after the position and was not told to this session yet. What it was told
    /// since it entered is not told again.
    pub(super) async fn resume(
        &mut self,
        index: usize,
        asked: ResumePosition,
        old: Option<ConnectionId>,
        mark: Option<RequestMark>,
    ) -> Result<(), CloseAction> {
        let Some(entry) = self.sessions.get_mut(index) else {
            return Ok(());
        };
        let namespace = entry.namespace;
        let Some(subscription) = entry.subscription() else {
            return Ok(());
        };
        let epoch = self.app.store.epoch().clone();
        let look = move |db: &_, last| Ok::<_, StoreError>(HistoryBounds::read(db, epoch, last)?);
        let bounds = self.app.store.read_at_commit(look).await;
        let bounds = bounds.map_err(|error| {
            tracing::warn!(%error, "the history could not be read for a session that resumes");
            self.writer.lock().discard_queue();
            CloseAction::from(DisconnectReason::TryAgain)
        })?;
        if let Some(old) = old {
            self.app.hub.take_over(subscription.session(), &old);
            let session = subscription.session().clone();
            let taken = self
                .app
                .store
                .write(move |tx| rooms::take_over(tx, &session, &old));
            taken.await.map_err(|error| {
                tracing::warn!(%error, "the rooms of a session that resumes could not be taken over");
                self.writer.lock().discard_queue();
                CloseAction::from(DisconnectReason::TryAgain)
            })?;
        }
        let lost = bounds.judge(&asked).err();
        match lost {
            None => {
                if let Some(beginning) = subscription.rewind(asked.id) {
                    self.app
                        .hub
                        .note_replay_start(subscription.session().id(), beginning);
                }
            }
            Some(gap) => {
                let words = bounds.resync_required(gap);
                self.send_direct(namespace, &EventType::RESYNC_REQUIRED, &words);
            }
        }
        let answer = json!({
            "recovered": lost.is_none(),
            "epoch": bounds.epoch.as_str(),
            "lastEventId": bounds.last,
        });
        self.succeed(namespace, mark, answer);
        Ok(())
    }
}
