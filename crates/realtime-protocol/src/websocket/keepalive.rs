//! Decides when to ping a WebSocket's peer and when to close the connection as dead. Does no I/O.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep_until};

/// How a WebSocket detects that its peer is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Keepalive {
    /// Time between pings.
    pub ping_interval: Duration,
    /// The connection is closed if the peer sends nothing at all, not even a pong, for this long.
    pub idle_timeout: Duration,
}

impl Default for Keepalive {
    /// A ping every 54 s, a timeout of 60 s.
    fn default() -> Self {
        Self {
            ping_interval: Duration::from_secs(54),
            idle_timeout: Duration::from_secs(60),
        }
    }
}

/// What the WebSocket must do.
pub(super) enum KeepaliveAction {
    SendPing,
    TimedOut,
}

pub(super) struct KeepaliveTimer {
    keepalive: Keepalive,
    ping_at: Instant,
    last_received: Instant,
    timer: Pin<Box<Sleep>>,
}

impl KeepaliveTimer {
    pub(super) fn start(keepalive: Keepalive) -> Self {
        let now = Instant::now();
        let ping_at = now + keepalive.ping_interval;
        let timer = Box::pin(sleep_until(ping_at.min(now + keepalive.idle_timeout)));
        Self {
            keepalive,
            ping_at,
            last_received: now,
            timer,
        }
    }

    /// Records that the peer sent something. Cheap: the timer is not reset until it fires.
    pub(super) fn record_received(&mut self) {
        self.last_received = Instant::now();
    }

    /// Ready when there is something to do. While `is_reading` is false, the idle timeout does not run.
    pub(super) fn poll(&mut self, is_reading: bool, cx: &mut Context<'_>) -> Poll<KeepaliveAction> {
        loop {
            std::task::ready!(self.timer.as_mut().poll(cx));
            let now = Instant::now();
            if !is_reading {
                self.last_received = now;
            }
            let timeout_at = self.last_received + self.keepalive.idle_timeout;
            if now >= timeout_at {
                return Poll::Ready(KeepaliveAction::TimedOut);
            }
            let ping = now >= self.ping_at;
            if ping {
                self.ping_at = now + self.keepalive.ping_interval;
            }
            self.timer.as_mut().reset(self.ping_at.min(timeout_at));
            if ping {
                return Poll::Ready(KeepaliveAction::SendPing);
            }
        }
    }
}
