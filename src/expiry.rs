//! Wakes the job that expires commands and messages (`jobs::expiry`).

use tokio::sync::Notify;

#[derive(Debug, Default)]
pub struct Expiry {
    pub changed: Notify,
}

impl Expiry {
    /// Call after storing something that may expire earlier than everything before.
    pub fn recheck(&self) {
        self.changed.notify_one();
    }
}
