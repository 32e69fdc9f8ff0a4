//! Delays between connection attempts: exponential backoff with jitter. Computes the delay; the caller sleeps.

use std::time::Duration;

/// Exponential backoff from 1 s to 30 s. Each delay is drawn from the upper half of its range, so that many clients
/// do not reconnect at the same moment.
#[derive(Debug, Default)]
pub(crate) struct Pause {
    attempts: u32,
    /// A delay that the server asked for. It is added to the next delay only.
    requested: Duration,
}

impl Pause {
    const FIRST_MS: u64 = 1_000;
    const LONGEST_MS: u64 = 30_000;

    /// Starts again from the shortest delay, after a successful connection. `requested` is the delay that a server
    /// asked for before it closed the connection.
    pub(crate) fn reset(&mut self, requested: Option<Duration>) {
        self.attempts = 0;
        self.requested = requested.unwrap_or_default();
    }

    /// Returns the longest delay, for errors that a quick retry cannot fix, such as a rejected token.
    pub(crate) fn longest(&mut self) -> Duration {
        self.attempts = u32::MAX;
        self.next()
    }

    /// Returns the next delay.
    pub(crate) fn next(&mut self) -> Duration {
        let full = (Self::FIRST_MS << self.attempts.min(5)).min(Self::LONGEST_MS);
        self.attempts = self.attempts.saturating_add(1);
        let half = full / 2;
        // Without a source of randomness, wait for the full delay.
        let jitter = getrandom::u32().map_or(half, |random| u64::from(random) % (half + 1));
        let requested = std::mem::take(&mut self.requested);
        let requested = requested.min(Duration::from_millis(Self::LONGEST_MS));
        requested + Duration::from_millis(half + jitter)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delay_doubles_to_a_limit_and_resets() {
        let mut pause = Pause::default();
        for full in [1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000] {
            let wait = pause.next();
            let (least, most) = (Duration::from_millis(full / 2), Duration::from_millis(full));
            assert!(wait >= least && wait <= most, "{wait:?} of {full}");
        }
        pause.reset(Some(Duration::from_secs(5)));
        let requested = pause.next();
        assert!(requested >= Duration::from_millis(5_500) && requested <= Duration::from_secs(6));
        assert!(
            pause.next() <= Duration::from_secs(2),
            "a requested delay counts once"
        );
        assert!(pause.longest() >= Duration::from_secs(15));
        assert!(pause.next() >= Duration::from_secs(15));
    }
}
