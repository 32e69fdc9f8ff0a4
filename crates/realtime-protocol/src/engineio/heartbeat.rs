//! The Engine.IO heartbeat (protocol version 4, "Heartbeat"): the server sends pings, the client must reply with
//! pongs. A state machine over instants; it owns no timer and does no I/O.

use std::time::Duration;

use tokio::time::Instant;

/// What the connection must do after [`Heartbeat::advance`].
#[derive(Debug, PartialEq, Eq)]
pub(super) enum HeartbeatAction {
    None,
    SendPing,
    TimedOut,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Heartbeat {
    interval: Duration,
    timeout: Duration,
    /// When the next ping is due or, while a pong is expected, when the connection times out.
    due: Instant,
    expects_pong: bool,
}

impl Heartbeat {
    /// The first ping is due one interval after `now`.
    pub(super) fn start(interval: Duration, timeout: Duration, now: Instant) -> Self {
        Self {
            interval,
            timeout,
            due: now + interval,
            expects_pong: false,
        }
    }

    /// When to call [`advance`](Self::advance) again.
    pub(super) fn due(&self) -> Instant {
        self.due
    }

    pub(super) fn advance(&mut self, now: Instant) -> HeartbeatAction {
        if now < self.due {
            HeartbeatAction::None
        } else if self.expects_pong {
            HeartbeatAction::TimedOut
        } else {
            self.expects_pong = true;
            // The client, too, counts from when the ping was due. If this machine was suspended at that
            // time, the client still gets half the timeout to reply.
            self.due = (self.due + self.timeout).max(now + self.timeout / 2);
            HeartbeatAction::SendPing
        }
    }

    /// Whether an expected pong is overdue.
    pub(super) fn is_timed_out(&self, now: Instant) -> bool {
        self.expects_pong && now >= self.due
    }

    /// Records a pong. An unexpected pong is ignored.
    pub(super) fn pong(&mut self, now: Instant) {
        if self.expects_pong {
            self.expects_pong = false;
            self.due = now + self.interval;
        }
    }

    /// Gives an expected pong the full timeout again, after a time during which nothing was read.
    pub(super) fn restart_pong_timeout(&mut self, now: Instant) {
        if self.expects_pong {
            self.due = now + self.timeout;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn heartbeat_without_pong_times_out() {
        let start = Instant::now();
        let mut heartbeat = Heartbeat::start(25 * SECOND, 20 * SECOND, start);
        assert_eq!(
            heartbeat.advance(start + 24 * SECOND),
            HeartbeatAction::None
        );
        assert_eq!(
            heartbeat.advance(start + 26 * SECOND),
            HeartbeatAction::SendPing
        );
        assert_eq!(
            heartbeat.advance(start + 44 * SECOND),
            HeartbeatAction::None
        );
        assert!(heartbeat.is_timed_out(start + 45 * SECOND));
        assert_eq!(
            heartbeat.advance(start + 45 * SECOND),
            HeartbeatAction::TimedOut
        );
    }

    #[test]
    fn pong_restarts_interval_only_when_expected() {
        let start = Instant::now();
        let mut heartbeat = Heartbeat::start(25 * SECOND, 20 * SECOND, start);
        heartbeat.pong(start + 20 * SECOND);
        assert_eq!(heartbeat.due(), start + 25 * SECOND);
        assert_eq!(
            heartbeat.advance(start + 25 * SECOND),
            HeartbeatAction::SendPing
        );
        heartbeat.pong(start + 26 * SECOND);
        assert_eq!(heartbeat.due(), start + 51 * SECOND);
        heartbeat.pong(start + 50 * SECOND);
        assert_eq!(
            heartbeat.advance(start + 51 * SECOND),
            HeartbeatAction::SendPing
        );
    }

    #[test]
    fn late_ping_leaves_time_for_the_pong() {
        let start = Instant::now();
        let mut heartbeat = Heartbeat::start(25 * SECOND, 20 * SECOND, start);
        let resumed = start + 3600 * SECOND;
        assert!(!heartbeat.is_timed_out(resumed));
        assert_eq!(heartbeat.advance(resumed), HeartbeatAction::SendPing);
        assert_eq!(heartbeat.advance(resumed + SECOND), HeartbeatAction::None);
        heartbeat.restart_pong_timeout(resumed + 9 * SECOND);
        assert_eq!(heartbeat.due(), resumed + 29 * SECOND);
    }
}
