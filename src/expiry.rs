//! Wakes the job that expires commands and messages (`jobs::expiry`).

use tokio::sync::Notify;

/// Hears of what is new and may end before all others.
#[derive(Debug, Default)]
pub struct Expiry {
    pub changed: Notify,
}

impl Expiry {
    /// There is something new that ends.
    pub fn look_again(&self) {
        self.changed.notify_one();
    }
}
