//! What automations outside the house's own sessions may want to know of: not an event of ours, and
//! kept by nobody.

use serde_json::{Value, json};

use crate::clock::Timestamp;

/// Something that just happened, under the name that Home Assistant's bus knows it by (contract
/// section 7). Never holds a secret.
#[derive(Clone, Debug)]
pub struct Announcement {
    /// Its name there.
    pub name: &'static str,
    /// What it says, a JSON object in Home Assistant's snake case.
    pub data: Value,
}

impl Announcement {
    /// A tablet was paired.
    pub const CLIENT_PAIRED: &'static str = "wallcast_client_paired";
    /// A tablet's first session opened.
    pub const CLIENT_ONLINE: &'static str = "wallcast_client_online";
    /// A tablet's last session ended.
    pub const CLIENT_OFFLINE: &'static str = "wallcast_client_offline";
    /// A kiosk asks for help.
    pub const HELP_REQUESTED: &'static str = "wallcast_help_requested";
    /// A command's outcome is known.
    pub const COMMAND_APPLIED: &'static str = "wallcast_command_applied";

    /// An announcement of what happened at `now`; `data` must be a JSON object.
    pub fn new(name: &'static str, mut data: Value, now: Timestamp) -> Self {
        if let Some(data) = data.as_object_mut() {
            data.insert("timestamp".to_owned(), json!(now));
        }
        Self { name, data }
    }
}
