//! What one tablet was told, in the order in which it came.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use serde_json::Value;
use tokio::sync::watch;

use crate::support::soon;
use crate::way::Lost;

/// A tablet's ears; whoever holds a clone hears the same.
#[derive(Clone, Default)]
pub struct Ears(Arc<Shared>);

#[derive(Default)]
struct Shared {
    heard: Mutex<Heard>,
    reached: watch::Sender<Reached>,
    is_asleep: watch::Sender<bool>,
    /// Milliseconds from one read to the next.
    pace: AtomicU64,
}

/// Everything that was heard.
#[derive(Default)]
pub struct Heard {
    /// The event after which it began.
    pub base: Option<i64>,
    pub told: Vec<Told>,
    /// First words, and how many of them said that nothing was lost.
    pub connections: usize,
    pub recovered: usize,
    /// What a client must never be told in this house.
    pub complaints: Vec<String>,
    /// The longest time from the end of a connection, or the last attempt that failed, to first words.
    pub longest: Duration,
    lost_at: Option<Instant>,
}

/// One durable event: its id, and type and data as a number.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Told {
    pub id: i64,
    pub print: u64,
}

#[derive(Clone, Copy, Default)]
struct Reached {
    connections: usize,
    id: i64,
}

/// Type and data of an event as a number that differs where they do. The data is compared as it
/// came, byte for byte: it is the same text in every dialect.
pub fn print(kind: &str, data: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    (kind, data).hash(&mut hasher);
    hasher.finish()
}

impl Ears {
    /// The first words of a connection; `comes_back` with a position from an earlier one.
    pub fn words(&self, words: &Value, comes_back: bool) {
        let mut heard = self.heard();
        heard.connections += 1;
        match (comes_back, words["recovered"] == true) {
            (false, _) if heard.base.is_some() => {
                let text = "it came back without a position".to_owned();
                heard.complaints.push(text);
            }
            (false, _) => heard.base = words["lastEventId"].as_i64(),
            (true, true) => heard.recovered += 1,
            (true, false) => heard.complaints.push(format!("not recovered: {words}")),
        }
        if let Some(lost_at) = heard.lost_at.take() {
            heard.longest = heard.longest.max(lost_at.elapsed());
        }
        let connections = heard.connections;
        drop(heard);
        self.0
            .reached
            .send_modify(|reached| reached.connections = connections);
    }

    /// An event, its data as JSON; without an id it is no durable one.
    pub fn event(&self, kind: &str, id: Option<i64>, data: &str) {
        match (kind, id) {
            ("heartbeat", _) => {}
            (_, Some(id)) => {
                let print = print(kind, data);
                self.heard().told.push(Told { id, print });
                self.0.reached.send_modify(|reached| reached.id = id);
            }
            ("resync_required" | "error" | "auth_error" | "authentication-error", None) => {
                self.complain(format!("{kind}: {data}"));
            }
            (_, None) => {}
        }
    }

    pub fn complain(&self, text: String) {
        self.heard().complaints.push(text);
    }

    /// A connection, or an attempt at one, is over.
    pub fn lost(&self, why: Lost) {
        self.heard().lost_at = Some(Instant::now());
        if let Lost::Final(text) = why {
            self.complain(text);
        }
    }

    pub fn heard(&self) -> MutexGuard<'_, Heard> {
        self.0.heard.lock().unwrap()
    }

    pub fn connections(&self) -> usize {
        self.0.reached.borrow().connections
    }

    /// The last event that was told.
    pub fn last(&self) -> i64 {
        self.0.reached.borrow().id
    }

    /// Waits for the first words of this many connections.
    pub async fn connected(&self, connections: usize) {
        let mut reached = self.0.reached.subscribe();
        let wait = reached.wait_for(|reached| reached.connections >= connections);
        let _ = soon("a tablet to come back", wait).await.unwrap();
    }

    /// Waits until this event or a later one was told; false when it was not in time.
    pub async fn reaches(&self, id: i64, patience: Duration) -> bool {
        let mut reached = self.0.reached.subscribe();
        let wait = reached.wait_for(|reached| reached.id >= id);
        tokio::time::timeout(patience, wait).await.is_ok()
    }

    /// Has the tablet read nothing, after the message that it waits for now, until it is woken.
    pub fn sleep(&self) {
        self.0.is_asleep.send_replace(true);
    }

    pub fn wake(&self) {
        self.0.is_asleep.send_replace(false);
    }

    /// Has the tablet take so much time for each message.
    pub fn walk(&self, pace: Duration) {
        let pace = u64::try_from(pace.as_millis()).expect("a short time");
        self.0.pace.store(pace, Ordering::Relaxed);
    }

    /// Call before each read.
    pub async fn awake(&self) {
        match self.0.pace.load(Ordering::Relaxed) {
            0 => {}
            pace => tokio::time::sleep(Duration::from_millis(pace)).await,
        }
        let mut is_asleep = self.0.is_asleep.subscribe();
        // The sender lives as long as we do.
        let _ = is_asleep.wait_for(|is_asleep| !is_asleep).await;
    }
}
