//! When to ping a WebSocket's peer and when to give it up; never touches the socket.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep_until};

/// How a socket finds out that its peer is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Keepalive {
    /// A ping goes out this often.
    pub ping_every: Duration,
    /// A peer that sent nothing at all for this long is gone.
    pub silent_for: Duration,
}

impl Default for Keepalive {
    fn default() -> Self {
        Self {
            ping_every: Duration::from_secs(54),
            silent_for: Duration::from_secs(60),
        }
    }
}

/// What the clock asks for.
pub(super) enum Due {
    Ping,
    GiveUp,
}

/// The running clock of one socket.
pub(super) struct Clock {
    keepalive: Keepalive,
    ping_at: Instant,
    last_received: Instant,
    timer: Pin<Box<Sleep>>,
}

impl Clock {
    pub(super) fn start(keepalive: Keepalive) -> Self {
        let now = Instant::now();
        let ping_at = now + keepalive.ping_every;
        let timer = Box::pin(sleep_until(ping_at.min(now + keepalive.silent_for)));
        Self {
            keepalive,
            ping_at,
            last_received: now,
            timer,
        }
    }

    /// The peer gave a sign of life. The timer finds out when it next fires.
    pub(super) fn note_received(&mut self) {
        self.last_received = Instant::now();
    }

    /// `listening` is false while nothing is read: then silence proves nothing.
    pub(super) fn poll(&mut self, listening: bool, cx: &mut Context<'_>) -> Poll<Due> {
        loop {
            std::task::ready!(self.timer.as_mut().poll(cx));
            let now = Instant::now();
            if !listening {
                self.last_received = now;
            }
            let give_up_at = self.last_received + self.keepalive.silent_for;
            if now >= give_up_at {
                return Poll::Ready(Due::GiveUp);
            }
            let ping = now >= self.ping_at;
            if ping {
                self.ping_at = now + self.keepalive.ping_every;
            }
            self.timer.as_mut().reset(self.ping_at.min(give_up_at));
            if ping {
                return Poll::Ready(Due::Ping);
            }
        }
    }
}
