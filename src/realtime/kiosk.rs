//! Messages of a kiosk tablet: it requests help, and reports the result of a command.

use serde_json::json;
use wallcast_core::audit::Actor;
use wallcast_core::clock::Timestamp;

use super::codec::ReplyTo;
use super::command::HelpCommand;
use super::connection::Connection;
use crate::commands::{self, CommandJson, CommandReport};
use crate::help::{self, HelpJson};
use crate::http::ApiError;

impl Connection {
    pub(super) async fn request_help(
        &mut self,
        index: usize,
        command: HelpCommand,
        reply_to: Option<ReplyTo>,
    ) {
        let Some((namespace, session)) = self.live_session(index) else {
            return;
        };
        let principal = session.principal();
        let actor = Actor::new(&principal.subject, self.peer.shown());
        let HelpCommand { fields, kiosk } = command;
        let requested = self.app.store.write(move |tx| {
            let help = help::request(tx, fields, kiosk, &principal, &actor)?;
            Ok::<_, ApiError>(json!(HelpJson::from(help)))
        });
        let result = requested.await;
        self.reply_result(namespace, reply_to, result);
    }

    pub(super) async fn report_result(
        &mut self,
        index: usize,
        report: CommandReport,
        reply_to: Option<ReplyTo>,
    ) {
        let Some((namespace, session)) = self.live_session(index) else {
            return;
        };
        let principal = session.principal();
        let stored = self.app.store.write(move |tx| {
            let command = commands::report(tx, report, &principal)?;
            Ok::<_, ApiError>(json!(CommandJson::new(command, None, Timestamp::now())))
        });
        let result = stored.await;
        self.reply_result(namespace, reply_to, result);
    }
}
