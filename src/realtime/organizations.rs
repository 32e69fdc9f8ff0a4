//! Joining and leaving an organisation by message (seed 2, contract 4.5).
//!
//! What a session is told follows from who it is: those of an organisation hear it without joining,
//! admins hear every one, and nobody else may. So joining and leaving are checked and answered, and
//! change nothing of what is told.

use serde_json::json;

use super::codec::RequestMark;
use super::command::OrganizationCommand;
use super::connection::Connection;
use crate::clients;
use wallcast_core::clock::Timestamp;
use wallcast_core::event::EventType;
use wallcast_core::store::StoreError;

impl Connection {
    /// Answers whoever may be told of the organisation, and refuses anyone else.
    pub(super) async fn change_organization(
        &mut self,
        index: usize,
        command: OrganizationCommand,
        mark: Option<RequestMark>,
    ) {
        let Some((namespace, session)) = self.live(index) else {
            return;
        };
        let principal = session.principal();
        let OrganizationCommand {
            organization,
            joins,
        } = command;
        let named = organization.clone();
        let may = self.app.store.read(move |db| {
            let may = clients::may_join(db, &principal, &named)?;
            Ok::<_, StoreError>(may)
        });
        match may.await {
            Ok(true) => {
                let kind = match joins {
                    true => EventType::JOINED_ORGANIZATION,
                    false => EventType::LEFT_ORGANIZATION,
                };
                let data = json!({
                    "organizationId": organization,
                    "timestamp": Timestamp::now(),
                });
                self.send_direct(namespace, &kind, &data);
                self.succeed(namespace, mark, data);
            }
            Ok(false) => {
                let text = "This is not your organisation";
                self.fail(namespace, mark, "forbidden", text);
            }
            Err(error) => self.fail(namespace, mark, "unavailable", &error.to_string()),
        }
    }
}
