//! How many messages a connection may send in a second (contract section 8).

use std::time::Duration;

use tokio::time::Instant;

/// A token bucket that holds one second's worth.
#[derive(Debug)]
pub(super) struct RateLimit {
    per_second: u32,
    /// When the bucket would be full again.
    full_at: Option<Instant>,
}

impl RateLimit {
    pub(super) fn new(per_second: u32) -> Self {
        Self {
            per_second,
            full_at: None,
        }
    }

    /// Whether one more message is within the rate; it is counted if so.
    pub(super) fn allows(&mut self, now: Instant) -> bool {
        let cost = Duration::from_secs(1) / self.per_second.max(1);
        let full_at = self.full_at.map_or(now, |at| at.max(now)) + cost;
        let within = full_at - now <= Duration::from_secs(1);
        if within {
            self.full_at = Some(full_at);
        }
        within
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_of_messages_at_once_then_one_as_each_share_passes() {
        let mut rate = RateLimit::new(20);
        let start = Instant::now();
        for _ in 0..20 {
            assert!(rate.allows(start));
        }
        assert!(!rate.allows(start));
        assert!(rate.allows(start + Duration::from_millis(50)));
        assert!(!rate.allows(start + Duration::from_millis(50)));
        assert!(rate.allows(start + Duration::from_secs(5)));
    }
}
