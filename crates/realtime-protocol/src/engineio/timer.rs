//! The one timer a socket has, set to whatever is due next; knows no reasons.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::time::{Instant, Sleep, sleep_until};

/// A timer that is moved only when the instant changes.
pub(super) struct Timer(Pin<Box<Sleep>>);

impl Timer {
    pub(super) fn new(due: Instant) -> Self {
        Self(Box::pin(sleep_until(due)))
    }

    /// Ready once `due` has come; else wakes the task then.
    pub(super) fn poll(&mut self, due: Instant, cx: &mut Context<'_>) -> Poll<()> {
        if self.0.deadline() != due {
            self.0.as_mut().reset(due);
        }
        self.0.as_mut().poll(cx)
    }
}
