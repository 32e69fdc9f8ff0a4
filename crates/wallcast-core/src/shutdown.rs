//! Stopping in order: everyone hears of it, and the last one out is waited for.

use std::time::Duration;

use tokio::sync::{mpsc, watch};

/// Tells that the daemon stops, and knows who is still at work. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Shutdown {
    begun: watch::Sender<bool>,
    work: mpsc::WeakSender<()>,
}

/// Keeps the daemon from exiting while it is held.
#[derive(Clone, Debug)]
pub struct Busy {
    _work: Option<mpsc::Sender<()>>,
}

/// The other end, for the one who stops the daemon.
#[derive(Debug)]
pub struct Stopper {
    begun: watch::Sender<bool>,
    work: mpsc::Sender<()>,
    done: mpsc::Receiver<()>,
}

/// A stop signal and its one stopper.
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
    /// Waits until the stop begins.
    pub async fn begun(&self) {
        let mut begun = self.begun.subscribe();
        // The sender lives in this very handle, so waiting cannot fail.
        let _ = begun.wait_for(|begun| *begun).await;
    }

    /// Whether the stop has begun.
    pub fn has_begun(&self) -> bool {
        *self.begun.borrow()
    }

    /// Marks a piece of work that is to be finished before the exit.
    pub fn busy(&self) -> Busy {
        Busy {
            _work: self.work.upgrade(),
        }
    }
}

impl Stopper {
    /// Begins the stop and waits for all work, at most `limit`. True when all of it was finished.
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
    async fn waits_for_work_and_no_longer_than_the_limit() {
        let (shutdown, stopper) = channel();
        let busy = shutdown.busy();
        let worker = tokio::spawn(async move {
            shutdown.begun().await;
            drop(busy);
        });
        assert!(stopper.stop(Duration::from_secs(60)).await);
        worker.await.unwrap();

        let (shutdown, stopper) = channel();
        let _held = shutdown.busy();
        assert!(!stopper.stop(Duration::from_millis(1)).await);
    }
}
