//! Engine.IO's heartbeat (protocol 4): the server pings, the client must pong; a pure state machine over instants.

use std::time::Duration;

use tokio::time::Instant;

/// What the clock asks for.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Beat {
    Quiet,
    Ping,
    Dead,
}

/// One connection's heartbeat.
#[derive(Debug, Clone, Copy)]
pub(super) struct Heartbeat {
    interval: Duration,
    timeout: Duration,
    /// When the next ping is due or, while a pong is awaited, when the peer is given up.
    due: Instant,
    awaits_pong: bool,
}

impl Heartbeat {
    /// The first ping is due one interval after the opening.
    pub(super) fn start(interval: Duration, timeout: Duration, now: Instant) -> Self {
        Self {
            interval,
            timeout,
            due: now + interval,
            awaits_pong: false,
        }
    }

    /// When `beat` is worth asking again.
    pub(super) fn due(&self) -> Instant {
        self.due
    }

    pub(super) fn beat(&mut self, now: Instant) -> Beat {
        if now < self.due {
            Beat::Quiet
        } else if self.awaits_pong {
            Beat::Dead
        } else {
            self.awaits_pong = true;
            // Counted from when the ping was due, since the client counts so too; but a machine
            // that slept through it must still give the peer time to answer.
            self.due = (self.due + self.timeout).max(now + self.timeout / 2);
            Beat::Ping
        }
    }

    /// Whether the peer's time to answer is over, asked between two beats.
    pub(super) fn is_dead(&self, now: Instant) -> bool {
        self.awaits_pong && now >= self.due
    }

    /// A pong came; one that nobody waits for changes nothing.
    pub(super) fn pong(&mut self, now: Instant) {
        if self.awaits_pong {
            self.awaits_pong = false;
            self.due = now + self.interval;
        }
    }

    /// Gives an awaited pong its full time again, after a while in which it could not have been read.
    pub(super) fn forgive(&mut self, now: Instant) {
        if self.awaits_pong {
            self.due = now + self.timeout;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn pings_after_the_interval_and_gives_up_after_the_timeout() {
        let start = Instant::now();
        let mut heart = Heartbeat::start(25 * SECOND, 20 * SECOND, start);
        assert_eq!(heart.beat(start + 24 * SECOND), Beat::Quiet);
        assert_eq!(heart.beat(start + 26 * SECOND), Beat::Ping);
        assert_eq!(heart.beat(start + 44 * SECOND), Beat::Quiet);
        assert!(heart.is_dead(start + 45 * SECOND));
        assert_eq!(heart.beat(start + 45 * SECOND), Beat::Dead);
    }

    #[test]
    fn a_pong_starts_the_interval_anew_and_a_spare_one_does_not() {
        let start = Instant::now();
        let mut heart = Heartbeat::start(25 * SECOND, 20 * SECOND, start);
        heart.pong(start + 20 * SECOND);
        assert_eq!(heart.due(), start + 25 * SECOND);
        assert_eq!(heart.beat(start + 25 * SECOND), Beat::Ping);
        heart.pong(start + 26 * SECOND);
        assert_eq!(heart.due(), start + 51 * SECOND);
        heart.pong(start + 50 * SECOND);
        assert_eq!(heart.beat(start + 51 * SECOND), Beat::Ping);
    }

    #[test]
    fn a_machine_that_slept_still_waits_for_the_answer() {
        let start = Instant::now();
        let mut heart = Heartbeat::start(25 * SECOND, 20 * SECOND, start);
        let woken = start + 3600 * SECOND;
        assert!(!heart.is_dead(woken));
        assert_eq!(heart.beat(woken), Beat::Ping);
        assert_eq!(heart.beat(woken + SECOND), Beat::Quiet);
        heart.forgive(woken + 9 * SECOND);
        assert_eq!(heart.due(), woken + 29 * SECOND);
    }
}
