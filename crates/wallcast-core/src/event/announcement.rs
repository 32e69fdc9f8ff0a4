//! Announcements for automations outside Wallcast. They are not events: they are neither stored nor sent to sessions.

use serde_json::{Value, json};

use crate::clock::Timestamp;

/// Something that happened, under its event name on Home Assistant's bus (`docs/protocol.md#home-assistant`).
/// It never contains a secret.
#[derive(Clone, Debug)]
pub struct Announcement {
    /// The event name on Home Assistant's bus.
    pub name: &'static str,
    /// A JSON object with snake-case keys, as usual in Home Assistant.
    pub data: Value,
}

impl Announcement {
    /// A tablet was paired.
    pub const CLIENT_PAIRED: &'static str = "wallcast_client_paired";
    /// A tablet's first session opened.
    pub const CLIENT_ONLINE: &'static str = "wallcast_client_online";
    /// A tablet's last session ended.
    pub const CLIENT_OFFLINE: &'static str = "wallcast_client_offline";
    /// A kiosk requested help.
    pub const HELP_REQUESTED: &'static str = "wallcast_help_requested";
    /// The outcome of a command is known.
    pub const COMMAND_APPLIED: &'static str = "wallcast_command_applied";

    /// Adds `timestamp` to `data`, which must be a JSON object.
    pub fn new(name: &'static str, mut data: Value, now: Timestamp) -> Self {
        if let Some(data) = data.as_object_mut() {
            data.insert("timestamp".to_owned(), json!(now));
        }
        Self { name, data }
    }
}
