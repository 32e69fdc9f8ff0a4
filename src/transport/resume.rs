//! `resume` (contract 4.5): a session that is live already asks for what it missed before.

use serde_json::json;

use super::codec::RequestMark;
use super::connection::Connection;
use super::parting::Parting;
use super::position::{PositionAsked, Standing};
use crate::event::Kind;
use crate::hub::Ending;
use crate::ids::ConnectionId;
use crate::rooms;
use crate::store::StoreError;

impl Connection {
    /// Tells what came after the position and was not told to this session yet. What it was told
    /// since it entered is not told again.
    pub(super) async fn resume(
        &mut self,
        index: usize,
        asked: PositionAsked,
        old: Option<ConnectionId>,
        mark: Option<RequestMark>,
    ) -> Result<(), Parting> {
        let Some(slot) = self.slots.get_mut(index) else {
            return Ok(());
        };
        let namespace = slot.namespace;
        let Some(feed) = slot.feed() else {
            return Ok(());
        };
        let epoch = self.app.store.epoch().clone();
        let look = move |db: &_, last| Ok::<_, StoreError>(Standing::read(db, epoch, last)?);
        let standing = self.app.store.between_commits(look).await;
        let standing = standing.map_err(|error| {
            tracing::warn!(%error, "the history could not be read for a session that resumes");
            self.gate.enter().give_up();
            Parting::from(Ending::TryAgain)
        })?;
        if let Some(old) = old {
            self.app.hub.supersede(feed.session(), &old);
            let session = feed.session().clone();
            let taken = self
                .app
                .store
                .write(move |tx| rooms::take_over(tx, &session, &old));
            taken.await.map_err(|error| {
                tracing::warn!(%error, "the rooms of a session that resumes could not be taken over");
                self.gate.enter().give_up();
                Parting::from(Ending::TryAgain)
            })?;
        }
        let lost = standing.judge(&asked).err();
        match lost {
            None => {
                if let Some(beginning) = feed.rewind(asked.id) {
                    self.app.hub.note_rewind(feed.session().id(), beginning);
                }
            }
            Some(gap) => {
                let words = standing.resync_required(gap);
                self.tell(namespace, &Kind::RESYNC_REQUIRED, &words);
            }
        }
        let answer = json!({
            "recovered": lost.is_none(),
            "epoch": standing.epoch.as_str(),
            "lastEventId": standing.last,
        });
        self.succeed(namespace, mark, answer);
        Ok(())
    }
}
