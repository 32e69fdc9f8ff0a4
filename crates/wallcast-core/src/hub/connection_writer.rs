//! The write half of a connection as the hub sees it: a locked writer, and the wake-up of the connection's task.

use std::future::poll_fn;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::Poll;

use futures_util::task::AtomicWaker;

use super::Session;

/// Writes the events of a connection's sessions.
pub trait EventWriter: Send {
    /// Writes the events that are queued for a session of this connection. False if the connection's task must
    /// continue: something must be sent first, or the peer does not accept all bytes.
    fn write_events(&mut self, session: &Session) -> bool;

    /// Discards output that is ready for the peer to fetch, such as the payload of the next long poll.
    fn discard_pending(&mut self);
}

/// The only place where bytes of a connection are handed to the kernel while it has a session. All sessions of the
/// connection share it.
///
/// Ending a session takes its lock, so once the end returns, nothing but the final event and the close is written for
/// the session: a revocation is a barrier (`docs/protocol.md#revocation`).
pub struct ConnectionWriter<W: ?Sized = dyn EventWriter> {
    is_woken: AtomicBool,
    task: AtomicWaker,
    writer: Mutex<W>,
}

impl<W: ?Sized> std::fmt::Debug for ConnectionWriter<W> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ConnectionWriter")
    }
}

impl<W> ConnectionWriter<W> {
    /// Wraps a connection's writer.
    pub fn new(writer: W) -> Self {
        Self {
            is_woken: AtomicBool::new(false),
            task: AtomicWaker::new(),
            writer: Mutex::new(writer),
        }
    }
}

impl<W: ?Sized> ConnectionWriter<W> {
    /// Locks the writer. The caller must not lock the writer of another connection while it holds the guard.
    pub fn lock(&self) -> MutexGuard<'_, W> {
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Wakes the connection's task; if it is not waiting, its next wait returns at once.
    pub fn wake(&self) {
        self.is_woken.store(true, Ordering::Release);
        self.task.wake();
    }

    /// Waits for [`ConnectionWriter::wake`]. For the connection's task alone; cancel safe.
    pub async fn woken(&self) {
        let take = || self.is_woken.swap(false, Ordering::Acquire);
        poll_fn(|cx| {
            if take() {
                return Poll::Ready(());
            }
            self.task.register(cx.waker());
            // A wake-up may have arrived just before the task was registered.
            match take() {
                true => Poll::Ready(()),
                false => Poll::Pending,
            }
        })
        .await;
    }
}

/// A writer that writes nothing, for tests of the hub.
impl EventWriter for () {
    fn write_events(&mut self, _: &Session) -> bool {
        false
    }

    fn discard_pending(&mut self) {}
}

impl Default for ConnectionWriter<()> {
    fn default() -> Self {
        Self::new(())
    }
}
