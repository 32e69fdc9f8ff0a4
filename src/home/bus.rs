//! Fires what Wallcast announces as events on Home Assistant's bus (contract section 7).
//!
//! While Home Assistant is away announcements wait, a bounded number for a bounded time: an
//! automation must not act on what is long past. What was handed to a connection that then broke is
//! fired again: better a doorbell twice than not at all.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::json;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::{Home, HomeError, Link};
use wallcast_core::event::Announcement;
use wallcast_core::hub::Hub;
use wallcast_core::shutdown::Shutdown;

/// Announcements that wait at most; the oldest make room. A Home Assistant that is there takes them
/// as they come.
const MAX_WAITING: usize = 1000;
/// After so long an announcement is no news any more: about what a restart of Core takes.
const MAX_AGE: Duration = Duration::from_secs(120);

/// What waits to be fired.
#[derive(Debug, Default)]
struct Waiting {
    queue: Mutex<VecDeque<(Instant, Announcement)>>,
    news: Notify,
}

impl Waiting {
    fn push(&self, announcement: Announcement, now: Instant) {
        let mut queue = self.queue();
        if queue.len() >= MAX_WAITING {
            queue.pop_front();
        }
        queue.push_back((now, announcement));
        self.news.notify_one();
    }

    /// The oldest that is still news. It stays until it is [`Waiting::done`].
    fn oldest(&self, now: Instant) -> Option<(Instant, Announcement)> {
        let mut queue = self.queue();
        while queue.front().is_some_and(|(at, _)| *at + MAX_AGE < now) {
            queue.pop_front();
        }
        queue.front().cloned()
    }

    /// Takes it out, unless it has made room for others meanwhile.
    fn done(&self, at: Instant) {
        let mut queue = self.queue();
        if queue.front().is_some_and(|(oldest, _)| *oldest == at) {
            queue.pop_front();
        }
    }

    fn queue(&self) -> MutexGuard<'_, VecDeque<(Instant, Announcement)>> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Serves until the daemon stops. Without a Home Assistant nothing waits for one.
pub async fn run(home: Home, hub: Arc<Hub>, shutdown: Shutdown) {
    if !home.is_configured() {
        return;
    }
    let waiting = Arc::new(Waiting::default());
    let queue = waiting.clone();
    hub.on_announcement(move |announcement| queue.push(announcement, Instant::now()));
    let serve = async {
        let mut links = home.links();
        while let Some(link) = links.next().await {
            tokio::select! {
                () = fire_all(&link, &waiting) => {}
                () = link.closed() => {}
            }
        }
    };
    tokio::select! {
        () = serve => {}
        () = shutdown.begun() => {}
    }
}

/// Fires what waits and what comes, one after the other, as long as the connection stands.
async fn fire_all(link: &Link, waiting: &Waiting) {
    loop {
        while let Some((at, announcement)) = waiting.oldest(Instant::now()) {
            let name = announcement.name;
            let command = json!({
                "type": "fire_event",
                "event_type": name,
                "event_data": announcement.data,
            });
            match link.request::<serde::de::IgnoredAny>(command).await {
                Ok(_) => {}
                Err(HomeError::Away) => return,
                Err(error) => tracing::warn!(%error, event = name, "not fired in Home Assistant"),
            }
            waiting.done(at);
        }
        waiting.news.notified().await;
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
    fn waits_in_order_and_no_longer_than_it_is_news() {
        let waiting = Waiting::default();
        let start = Instant::now();
        let at = |seconds: u64| start + Duration::from_secs(seconds);
        waiting.push(numbered(1), at(0));
        waiting.push(numbered(2), at(60));
        let (first, announcement) = waiting.oldest(at(120)).unwrap();
        assert_eq!(announcement.data["number"], 1);
        assert_eq!(waiting.oldest(at(121)).unwrap().1.data["number"], 2);
        // It went before it was done; the next one stays.
        waiting.done(first);
        let (second, _) = waiting.oldest(at(121)).unwrap();
        waiting.done(second);
        assert!(waiting.oldest(at(121)).is_none());
    }

    #[test]
    fn the_oldest_make_room() {
        let waiting = Waiting::default();
        for number in 0..MAX_WAITING + 3 {
            waiting.push(numbered(number), Instant::now());
        }
        assert_eq!(waiting.queue().len(), MAX_WAITING);
        assert_eq!(waiting.oldest(Instant::now()).unwrap().1.data["number"], 3);
    }
}
