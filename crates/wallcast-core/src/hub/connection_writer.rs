//! A connection as the hub sees it: a writer with its writer behind it, and the wake-up of the task that
//! owns it.

use std::future::poll_fn;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::Poll;

use futures_util::task::AtomicWaker;

use super::Session;

/// The writing end of a connection.
pub trait EventWriter: Send {
    /// Hands what waits for a session of the connection to the kernel. False if the connection's task
    /// must see to the session: something is to be told first, or the peer does not take all of it.
    fn write_events(&mut self, session: &Session) -> bool;

    /// Takes back what is laid out for the peer to fetch, where the task need not be asked for it.
    fn discard_pending(&mut self);
}

/// Where bytes of a connection are handed to the kernel as long as a session of it lives, and nowhere
/// else; all its sessions share it.
/// An reason passes through it, so that nothing leaves for a session after its end but what the end
/// itself says: revoking is a barrier (contract 6.2).
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
    /// Of the connection that writes to this writer.
    pub fn new(writer: W) -> Self {
        Self {
            is_woken: AtomicBool::new(false),
            task: AtomicWaker::new(),
            writer: Mutex::new(writer),
        }
    }
}

impl<W: ?Sized> ConnectionWriter<W> {
    /// Locks the writer. Whoever does so must not go to the writer of any connection meanwhile.
    pub fn lock(&self) -> MutexGuard<'_, W> {
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Wakes the connection's task, or lets its next wait return at once.
    pub fn wake(&self) {
        self.is_woken.store(true, Ordering::Release);
        self.task.wake();
    }

    /// Waits until something was queued or ended. For the owning task alone; cancel safe.
    pub async fn woken(&self) {
        let take = || self.is_woken.swap(false, Ordering::Acquire);
        poll_fn(|cx| {
            if take() {
                return Poll::Ready(());
            }
            self.task.register(cx.waker());
            // It may have come just before the task was registered.
            match take() {
                true => Poll::Ready(()),
                false => Poll::Pending,
            }
        })
        .await;
    }
}

/// A writer that takes nothing: for tests of what lies before it.
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
