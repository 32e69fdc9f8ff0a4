//! What a tablet at a kiosk says by message (contract 4.5, seed 3): it asks for help, and reports what
//! became of a command.

use serde_json::json;

use super::codec::RequestMark;
use super::command::HelpWanted;
use super::connection::Connection;
use crate::commands::{self, CommandJson, CommandReport};
use crate::help::{self, HelpJson};
use crate::http::ApiError;
use wallcast_core::audit::Actor;
use wallcast_core::clock::Timestamp;

impl Connection {
    pub(super) async fn request_help(
        &mut self,
        index: usize,
        wanted: HelpWanted,
        mark: Option<RequestMark>,
    ) {
        let Some((namespace, session)) = self.live(index) else {
            return;
        };
        let principal = session.principal();
        let actor = Actor::new(&principal.subject, self.peer.shown());
        let HelpWanted { asked, kiosk } = wanted;
        let requested = self.app.store.write(move |tx| {
            let help = help::request(tx, asked, kiosk, &principal, &actor)?;
            Ok::<_, ApiError>(json!(HelpJson::from(help)))
        });
        let outcome = requested.await;
        self.answer(namespace, mark, outcome);
    }

    pub(super) async fn report_result(
        &mut self,
        index: usize,
        reported: CommandReport,
        mark: Option<RequestMark>,
    ) {
        let Some((namespace, session)) = self.live(index) else {
            return;
        };
        let principal = session.principal();
        let kept = self.app.store.write(move |tx| {
            let command = commands::report(tx, reported, &principal)?;
            Ok::<_, ApiError>(json!(CommandJson::new(command, None, Timestamp::now())))
        });
        let outcome = kept.await;
        self.answer(namespace, mark, outcome);
    }
}
