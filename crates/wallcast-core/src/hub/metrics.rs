//! Counters of messages and events, per session and for the whole hub since the start. Counting costs one atomic
//! addition, and a batch of deliveries one lock.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use super::latency::{DeliveryTotals, Latency, Percentiles};
use crate::clock::Timestamp;
use crate::event::Event;

/// The counters of the hub.
#[derive(Debug, Default)]
pub struct HubMetrics {
    sessions: AtomicU64,
    sent: AtomicU64,
    received: AtomicU64,
    durable: AtomicU64,
    ephemeral: AtomicU64,
    /// In milliseconds since the Unix epoch; 0 if there was none.
    last_activity: AtomicI64,
    latency: Mutex<Latency>,
}

/// A snapshot of the hub's counters.
#[derive(Clone, Copy, Debug)]
pub struct Totals {
    /// Sessions ever registered.
    pub sessions: u64,
    /// Messages sent to sessions.
    pub sent: u64,
    /// Messages received from sessions.
    pub received: u64,
    /// Durable events published.
    pub durable: u64,
    /// Ephemeral events published, without heartbeats and direct responses.
    pub ephemeral: u64,
    /// When a message was last received or an event last published.
    pub last_activity: Option<Timestamp>,
}

impl HubMetrics {
    pub(super) fn opened(&self) {
        self.sessions.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn published(&self, event: &Event) {
        let counter = match event.id() {
            Some(_) => &self.durable,
            None => &self.ephemeral,
        };
        counter.fetch_add(1, Ordering::Relaxed);
        self.last_activity
            .store(event.timestamp().unix_ms(), Ordering::Relaxed);
    }

    /// Counts messages written for a session.
    pub fn sent(&self, messages: u64) {
        self.sent.fetch_add(messages, Ordering::Relaxed);
    }

    /// Counts a message received from a session.
    pub fn received(&self, at: Timestamp) {
        self.received.fetch_add(1, Ordering::Relaxed);
        self.last_activity.store(at.unix_ms(), Ordering::Relaxed);
    }

    /// Records deliveries whose last byte was handed to the kernel now, by their times of publication.
    pub fn delivered(&self, published: impl Iterator<Item = Instant>) {
        let now = Instant::now();
        let mut latency = self.latency();
        for at in published {
            latency.record(now.saturating_duration_since(at));
        }
    }

    /// The current counters.
    pub fn totals(&self) -> Totals {
        let last_activity = self.last_activity.load(Ordering::Relaxed);
        Totals {
            sessions: self.sessions.load(Ordering::Relaxed),
            sent: self.sent.load(Ordering::Relaxed),
            received: self.received.load(Ordering::Relaxed),
            durable: self.durable.load(Ordering::Relaxed),
            ephemeral: self.ephemeral.load(Ordering::Relaxed),
            last_activity: (last_activity != 0).then(|| Timestamp::from_unix_ms(last_activity)),
        }
    }

    /// Latency percentiles of the last [`super::WINDOW`] deliveries, without replays.
    pub fn percentiles(&self) -> Percentiles {
        let recent = self.latency().recent();
        Percentiles::of(&recent)
    }

    /// The number and total duration of all deliveries.
    pub fn deliveries(&self) -> DeliveryTotals {
        self.latency().deliveries()
    }

    fn latency(&self) -> MutexGuard<'_, Latency> {
        self.latency.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The counters of one session.
#[derive(Debug)]
pub struct SessionMetrics {
    connected_at: Timestamp,
    last_seen: AtomicI64,
    sent: AtomicU64,
    received: AtomicU64,
}

impl SessionMetrics {
    pub(super) fn begin() -> Self {
        let now = Timestamp::now();
        Self {
            connected_at: now,
            last_seen: AtomicI64::new(now.unix_ms()),
            sent: AtomicU64::new(0),
            received: AtomicU64::new(0),
        }
    }

    /// Counts messages written for the session.
    pub fn sent(&self, messages: u64) {
        self.sent.fetch_add(messages, Ordering::Relaxed);
    }

    /// Counts a message received from the session.
    pub fn received(&self, at: Timestamp) {
        self.received.fetch_add(1, Ordering::Relaxed);
        self.note_activity(at);
    }

    /// Records that the peer sent something that is not a message, such as a pong.
    pub fn note_activity(&self, at: Timestamp) {
        self.last_seen.store(at.unix_ms(), Ordering::Relaxed);
    }

    /// When the session was authenticated.
    pub fn connected_at(&self) -> Timestamp {
        self.connected_at
    }

    /// When the peer last sent anything, including pongs and polls.
    pub fn last_seen_at(&self) -> Timestamp {
        Timestamp::from_unix_ms(self.last_seen.load(Ordering::Relaxed))
    }

    /// Messages sent to the session.
    pub fn messages_sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }

    /// Messages received from the session.
    pub fn messages_received(&self) -> u64 {
        self.received.load(Ordering::Relaxed)
    }
}
