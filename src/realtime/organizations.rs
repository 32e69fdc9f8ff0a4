//! `join-organization` and `leave-organization`. They are checked and confirmed but change no subscription:
//! members of an organisation receive its events anyway, admins receive those of all, and nobody else may.

use serde_json::json;
use wallcast_core::clock::Timestamp;
use wallcast_core::event::EventType;
use wallcast_core::store::StoreError;

use super::codec::ReplyTo;
use super::command::OrganizationCommand;
use super::connection::Connection;
use crate::clients;

impl Connection {
    /// Confirms for members of the organisation and admins; refuses for others.
    pub(super) async fn change_organization(
        &mut self,
        index: usize,
        command: OrganizationCommand,
        reply_to: Option<ReplyTo>,
    ) {
        let Some((namespace, session)) = self.live_session(index) else {
            return;
        };
        let principal = session.principal();
        let OrganizationCommand {
            organization,
            joins,
        } = command;
        let requested = organization.clone();
        let may_join = self.app.store.read(move |db| {
            let may_join = clients::may_join(db, &principal, &requested)?;
            Ok::<_, StoreError>(may_join)
        });
        match may_join.await {
            Ok(true) => {
                let event_type = match joins {
                    true => EventType::JOINED_ORGANIZATION,
                    false => EventType::LEFT_ORGANIZATION,
                };
                let data = json!({
                    "organizationId": organization,
                    "timestamp": Timestamp::now(),
                });
                self.send_direct(namespace, &event_type, &data);
                self.reply_success(namespace, reply_to, data);
            }
            Ok(false) => {
                let text = "You do not belong to this organisation";
                self.reply_error(namespace, reply_to, "forbidden", text);
            }
            Err(error) => self.reply_error(namespace, reply_to, "unavailable", &error.to_string()),
        }
    }
}
