//! Records the events that one tablet receives, in order of arrival, and controls how fast it reads.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use serde_json::Value;
use tokio::sync::watch;

use crate::connector::ConnectionError;
use crate::support::soon;

/// The record of one tablet's events. Clones share it.
#[derive(Clone, Default)]
pub struct Receiver(Arc<State>);

#[derive(Default)]
struct State {
    received: Mutex<Received>,
    progress: watch::Sender<Progress>,
    is_paused: watch::Sender<bool>,
    /// Milliseconds to wait before each read.
    read_delay: AtomicU64,
}

#[derive(Default)]
pub struct Received {
    /// The `lastEventId` of the first welcome: every later event must be received.
    pub base: Option<i64>,
    pub events: Vec<ReceivedEvent>,
    /// Welcomes, and how many of them reported a complete recovery.
    pub connections: usize,
    pub recovered: usize,
    /// Messages that no client may receive in these tests.
    pub violations: Vec<String>,
    /// The longest time from the end of a connection, or from the last failed attempt, to the next welcome.
    pub longest_recovery: Duration,
    disconnected_at: Option<Instant>,
}

/// A durable event: its id, and a hash of its type and data.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct ReceivedEvent {
    pub id: i64,
    pub fingerprint: u64,
}

#[derive(Clone, Copy, Default)]
struct Progress {
    connections: usize,
    last_id: i64,
}

/// A hash of an event's type and data. The data is hashed byte for byte as received, because its text is
/// the same in every dialect.
pub fn fingerprint(event_type: &str, data: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    (event_type, data).hash(&mut hasher);
    hasher.finish()
}

impl Receiver {
    /// Records the welcome of a connection. `is_resuming` says that the client sent a position.
    pub fn welcome(&self, welcome: &Value, is_resuming: bool) {
        let mut received = self.received();
        received.connections += 1;
        match (is_resuming, welcome["recovered"] == true) {
            (false, _) if received.base.is_some() => {
                let text = "it reconnected without a position".to_owned();
                received.violations.push(text);
            }
            (false, _) => received.base = welcome["lastEventId"].as_i64(),
            (true, true) => received.recovered += 1,
            (true, false) => received
                .violations
                .push(format!("not recovered: {welcome}")),
        }
        if let Some(at) = received.disconnected_at.take() {
            received.longest_recovery = received.longest_recovery.max(at.elapsed());
        }
        let connections = received.connections;
        drop(received);
        self.0
            .progress
            .send_modify(|progress| progress.connections = connections);
    }

    /// Records an event with its data as JSON text. Only durable events have an id.
    pub fn event(&self, event_type: &str, id: Option<i64>, data: &str) {
        match (event_type, id) {
            ("heartbeat", _) => {}
            (_, Some(id)) => {
                let fingerprint = fingerprint(event_type, data);
                let event = ReceivedEvent { id, fingerprint };
                self.received().events.push(event);
                self.0
                    .progress
                    .send_modify(|progress| progress.last_id = id);
            }
            ("resync_required" | "error" | "auth_error" | "authentication-error", None) => {
                self.add_violation(format!("{event_type}: {data}"));
            }
            (_, None) => {}
        }
    }

    pub fn add_violation(&self, text: String) {
        self.received().violations.push(text);
    }

    /// Records the end of a connection or of a failed attempt. A fatal error is a violation.
    pub fn disconnected(&self, error: ConnectionError) {
        self.received().disconnected_at = Some(Instant::now());
        if let ConnectionError::Fatal(text) = error {
            self.add_violation(text);
        }
    }

    pub fn received(&self) -> MutexGuard<'_, Received> {
        self.0.received.lock().unwrap()
    }

    pub fn connections(&self) -> usize {
        self.0.progress.borrow().connections
    }

    /// The id of the last durable event, or 0.
    pub fn last_id(&self) -> i64 {
        self.0.progress.borrow().last_id
    }

    /// Waits until this many connections were welcomed.
    pub async fn wait_for_connections(&self, connections: usize) {
        let mut progress = self.0.progress.subscribe();
        let wait = progress.wait_for(|progress| progress.connections >= connections);
        let _ = soon("a tablet to reconnect", wait).await.unwrap();
    }

    /// Waits for this event or a later one. False after `timeout`.
    pub async fn wait_for_event(&self, id: i64, timeout: Duration) -> bool {
        let mut progress = self.0.progress.subscribe();
        let wait = progress.wait_for(|progress| progress.last_id >= id);
        tokio::time::timeout(timeout, wait).await.is_ok()
    }

    /// Stops reading after the message that the tablet waits for now, until `resume_reading`.
    pub fn pause_reading(&self) {
        self.0.is_paused.send_replace(true);
    }

    pub fn resume_reading(&self) {
        self.0.is_paused.send_replace(false);
    }

    /// Sets how long the tablet waits before it reads the next message.
    pub fn set_read_delay(&self, delay: Duration) {
        let millis = u64::try_from(delay.as_millis()).expect("a short delay");
        self.0.read_delay.store(millis, Ordering::Relaxed);
    }

    /// Waits as `pause_reading` and `set_read_delay` ask for. Each client calls it before each read.
    pub async fn before_read(&self) {
        match self.0.read_delay.load(Ordering::Relaxed) {
            0 => {}
            millis => tokio::time::sleep(Duration::from_millis(millis)).await,
        }
        let mut is_paused = self.0.is_paused.subscribe();
        // Never fails: `self` keeps the sender.
        let _ = is_paused.wait_for(|is_paused| !is_paused).await;
    }
}
