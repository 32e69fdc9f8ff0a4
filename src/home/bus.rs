//! Fires Wallcast's announcements as events on Home Assistant's event bus
//! (`docs/protocol.md#home-assistant`).
//!
//! While Home Assistant is not connected, a bounded number of announcements is queued for a bounded
//! time: an automation must not react to something long past. An announcement whose connection
//! broke before the answer is fired again, because a doorbell that rings twice is better than one
//! that does not ring.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::json;
use tokio::sync::Notify;
use tokio::time::Instant;
use wallcast_core::event::Announcement;
use wallcast_core::hub::Hub;
use wallcast_core::shutdown::Shutdown;

use super::{HomeAssistant, HomeConnection, HomeError};

/// Maximum queued announcements; the oldest are dropped. While connected, Home Assistant takes them
/// faster than they arrive.
const MAX_QUEUED: usize = 1000;
/// Age at which a queued announcement is dropped: about as long as a restart of Core takes.
const MAX_AGE: Duration = Duration::from_secs(120);

/// Announcements that are not fired yet, oldest first.
#[derive(Debug, Default)]
struct AnnouncementQueue {
    entries: Mutex<VecDeque<(Instant, Announcement)>>,
    pushed: Notify,
}

impl AnnouncementQueue {
    fn push(&self, announcement: Announcement, now: Instant) {
        let mut entries = self.entries();
        if entries.len() >= MAX_QUEUED {
            entries.pop_front();
        }
        entries.push_back((now, announcement));
        self.pushed.notify_one();
    }

    /// The oldest announcement that is not too old. It stays queued until
    /// [`AnnouncementQueue::remove`].
    fn oldest(&self, now: Instant) -> Option<(Instant, Announcement)> {
        let mut entries = self.entries();
        while entries.front().is_some_and(|(at, _)| *at + MAX_AGE < now) {
            entries.pop_front();
        }
        entries.front().cloned()
    }

    /// Removes the oldest announcement if it is the one queued at `at`; a full queue may have
    /// dropped it already.
    fn remove(&self, at: Instant) {
        let mut entries = self.entries();
        if entries.front().is_some_and(|(oldest, _)| *oldest == at) {
            entries.pop_front();
        }
    }

    fn entries(&self) -> MutexGuard<'_, VecDeque<(Instant, Announcement)>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Runs until the daemon stops. Queues nothing if no Home Assistant is configured.
pub async fn run(home: HomeAssistant, hub: Arc<Hub>, shutdown: Shutdown) {
    if !home.is_configured() {
        return;
    }
    let queue = Arc::new(AnnouncementQueue::default());
    let pushed_to = queue.clone();
    hub.on_announcement(move |announcement| pushed_to.push(announcement, Instant::now()));
    let serve = async {
        let mut connections = home.connections();
        while let Some(connection) = connections.next().await {
            tokio::select! {
                () = fire_queued(&connection, &queue) => {}
                () = connection.closed() => {}
            }
        }
    };
    tokio::select! {
        () = serve => {}
        () = shutdown.begun() => {}
    }
}

/// Fires queued and new announcements one after the other until the connection is lost.
async fn fire_queued(connection: &HomeConnection, queue: &AnnouncementQueue) {
    loop {
        while let Some((at, announcement)) = queue.oldest(Instant::now()) {
            let name = announcement.name;
            let command = json!({
                "type": "fire_event",
                "event_type": name,
                "event_data": announcement.data,
            });
            match connection.request::<serde::de::IgnoredAny>(command).await {
                Ok(_) => {}
                Err(HomeError::Disconnected) => return,
                Err(error) => {
                    tracing::warn!(%error, event = name, "event not fired in Home Assistant")
                }
            }
            queue.remove(at);
        }
        queue.pushed.notified().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use wallcast_core::clock::Timestamp;

    fn numbered(number: usize) -> Announcement {
        let data = json!({ "number": number });
        Announcement::new(Announcement::CLIENT_ONLINE, data, Timestamp::now())
    }

    #[test]
    fn queue_is_ordered_and_expires() {
        let queue = AnnouncementQueue::default();
        let start = Instant::now();
        let at = |seconds: u64| start + Duration::from_secs(seconds);
        queue.push(numbered(1), at(0));
        queue.push(numbered(2), at(60));
        let (first, announcement) = queue.oldest(at(120)).unwrap();
        assert_eq!(announcement.data["number"], 1);
        assert_eq!(queue.oldest(at(121)).unwrap().1.data["number"], 2);
        // The first one expired before it was removed, so the second must stay.
        queue.remove(first);
        let (second, _) = queue.oldest(at(121)).unwrap();
        queue.remove(second);
        assert!(queue.oldest(at(121)).is_none());
    }

    #[test]
    fn full_queue_drops_the_oldest() {
        let queue = AnnouncementQueue::default();
        for number in 0..MAX_QUEUED + 3 {
            queue.push(numbered(number), Instant::now());
        }
        assert_eq!(queue.entries().len(), MAX_QUEUED);
        assert_eq!(queue.oldest(Instant::now()).unwrap().1.data["number"], 3);
    }
}
