//! Graceful shutdown: signals every task that the daemon is stopping and waits for work in progress.

use std::time::Duration;

use tokio::sync::{mpsc, watch};

/// Signals that the daemon is stopping, and hands out guards for work in progress. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Shutdown {
    begun: watch::Sender<bool>,
    work: mpsc::WeakSender<()>,
}

/// Delays the exit of the daemon until it is dropped.
#[derive(Clone, Debug)]
pub struct WorkGuard {
    _work: Option<mpsc::Sender<()>>,
}

/// Starts the shutdown. There is one per [`channel`].
#[derive(Debug)]
pub struct Stopper {
    begun: watch::Sender<bool>,
    work: mpsc::Sender<()>,
    done: mpsc::Receiver<()>,
}

/// Creates a shutdown signal and its only [`Stopper`].
pub fn channel() -> (Shutdown, Stopper) {
    let (begun, _) = watch::channel(false);
    let (work, done) = mpsc::channel(1);
    let shutdown = Shutdown {
        begun: begun.clone(),
        work: work.downgrade(),
    };
    (shutdown, Stopper { begun, work, done })
}

impl Shutdown {
    /// Waits until the shutdown begins. Returns at once if it has. Cancel safe.
    pub async fn begun(&self) {
        let mut begun = self.begun.subscribe();
        // `self` holds a sender, so the channel cannot close while this waits.
        let _ = begun.wait_for(|begun| *begun).await;
    }

    /// Whether the shutdown has begun.
    pub fn has_begun(&self) -> bool {
        *self.begun.borrow()
    }

    /// Registers work that must finish before the daemon exits. After the shutdown has begun the guard has no effect
    /// unless other guards are still held.
    pub fn work_guard(&self) -> WorkGuard {
        WorkGuard {
            _work: self.work.upgrade(),
        }
    }
}

impl Stopper {
    /// Begins the shutdown and waits at most `limit` until every [`WorkGuard`] is dropped. Returns whether all were.
    pub async fn stop(mut self, limit: Duration) -> bool {
        self.begun.send_replace(true);
        drop(self.work);
        tokio::time::timeout(limit, self.done.recv()).await.is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn stop_waits_for_guards_up_to_limit() {
        let (shutdown, stopper) = channel();
        let guard = shutdown.work_guard();
        let worker = tokio::spawn(async move {
            shutdown.begun().await;
            drop(guard);
        });
        assert!(stopper.stop(Duration::from_secs(60)).await);
        worker.await.unwrap();

        let (shutdown, stopper) = channel();
        let _held = shutdown.work_guard();
        assert!(!stopper.stop(Duration::from_millis(1)).await);
    }
}
