//! How long to wait before the next attempt at somebody who is away. Waits for nobody itself.

use std::time::Duration;

/// The time between two attempts: doubling, jittered so that a house of clients does not return at once.
#[derive(Debug, Default)]
pub(crate) struct Pause {
    attempts: u32,
    asked_for: Duration,
}

impl Pause {
    const FIRST_MS: u64 = 1_000;
    const LONGEST_MS: u64 = 30_000;

    /// The line works again; a server about to leave says how long it wants to be left alone.
    pub(crate) fn reset(&mut self, asked_for: Option<Duration>) {
        self.attempts = 0;
        self.asked_for = asked_for.unwrap_or_default();
    }

    /// As after many attempts: what failed does not mend itself in a second.
    pub(crate) fn longest(&mut self) -> Duration {
        self.attempts = u32::MAX;
        self.next()
    }

    /// How long to wait now.
    pub(crate) fn next(&mut self) -> Duration {
        let full = (Self::FIRST_MS << self.attempts.min(5)).min(Self::LONGEST_MS);
        self.attempts = self.attempts.saturating_add(1);
        let half = full / 2;
        // Without randomness the full pause is a fair choice.
        let jitter = getrandom::u32().map_or(half, |random| u64::from(random) % (half + 1));
        let asked_for = std::mem::take(&mut self.asked_for);
        let asked_for = asked_for.min(Duration::from_millis(Self::LONGEST_MS));
        asked_for + Duration::from_millis(half + jitter)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_a_bound_and_start_anew() {
        let mut pause = Pause::default();
        for full in [1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000] {
            let wait = pause.next();
            let (least, most) = (Duration::from_millis(full / 2), Duration::from_millis(full));
            assert!(wait >= least && wait <= most, "{wait:?} of {full}");
        }
        pause.reset(Some(Duration::from_secs(5)));
        let asked = pause.next();
        assert!(asked >= Duration::from_millis(5_500) && asked <= Duration::from_secs(6));
        assert!(pause.next() <= Duration::from_secs(2), "asked for once");
        assert!(pause.longest() >= Duration::from_secs(15));
        assert!(pause.next() >= Duration::from_secs(15));
    }
}
