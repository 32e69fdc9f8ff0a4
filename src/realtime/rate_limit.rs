//! Limits how many messages a connection may send in a second (`messages_per_second`).

use std::time::Duration;

use tokio::time::Instant;

/// A token bucket that holds one second's worth of messages.
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

    /// Whether one more message is within the limit; it is counted only then.
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
    fn bucket_allows_a_burst_then_one_message_per_share() {
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
