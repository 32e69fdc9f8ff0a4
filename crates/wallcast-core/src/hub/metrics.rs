//! What went to and came from sessions, counted: for one session, and for the whole hub since the
//! start. One addition for what is counted, and one lock for each batch that the kernel took.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use super::latency::{Deliveries, Latency, Percentiles};
use crate::clock::Timestamp;
use crate::event::Event;

/// The hub's own counters.
#[derive(Debug, Default)]
pub struct HubMetrics {
    sessions: AtomicU64,
    sent: AtomicU64,
    received: AtomicU64,
    durable: AtomicU64,
    ephemeral: AtomicU64,
    /// In Unix milliseconds; 0 while there was none.
    last_activity: AtomicI64,
    latency: Mutex<Latency>,
}

/// The hub's counters at one moment.
#[derive(Clone, Copy, Debug)]
pub struct Totals {
    /// Sessions that there ever were.
    pub sessions: u64,
    /// Messages to sessions.
    pub sent: u64,
    /// Messages from sessions.
    pub received: u64,
    /// Durable events.
    pub durable: u64,
    /// Ephemeral events, heartbeats and answers not among them.
    pub ephemeral: u64,
    /// When a session last said something or an event was last told.
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

    /// Counts messages that were laid out for a session.
    pub fn sent(&self, messages: u64) {
        self.sent.fetch_add(messages, Ordering::Relaxed);
    }

    /// Counts a message that a session brought.
    pub fn received(&self, at: Timestamp) {
        self.received.fetch_add(1, Ordering::Relaxed);
        self.last_activity.store(at.unix_ms(), Ordering::Relaxed);
    }

    /// The kernel has the last byte of events that were handed to sessions then.
    pub fn delivered(&self, published: impl Iterator<Item = Instant>) {
        let now = Instant::now();
        let mut latency = self.latency();
        for at in published {
            latency.note(now.saturating_duration_since(at));
        }
    }

    /// The counters.
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

    /// How long the last [`super::WINDOW`] deliveries took. Replays are none: their commit is past.
    pub fn percentiles(&self) -> Percentiles {
        let recent = self.latency().recent();
        Percentiles::of(&recent)
    }

    /// All deliveries.
    pub fn deliveries(&self) -> Deliveries {
        self.latency().deliveries()
    }

    fn latency(&self) -> MutexGuard<'_, Latency> {
        self.latency.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One session's counters.
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

    /// Counts messages that were laid out for it.
    pub fn sent(&self, messages: u64) {
        self.sent.fetch_add(messages, Ordering::Relaxed);
    }

    /// Counts a message that it brought.
    pub fn received(&self, at: Timestamp) {
        self.received.fetch_add(1, Ordering::Relaxed);
        self.note_received(at);
    }

    /// Its peer said something, be it a pong.
    pub fn note_received(&self, at: Timestamp) {
        self.last_seen.store(at.unix_ms(), Ordering::Relaxed);
    }

    /// When it was proven.
    pub fn connected_at(&self) -> Timestamp {
        self.connected_at
    }

    /// When it last said something, its connection's pongs and polls included.
    pub fn last_seen_at(&self) -> Timestamp {
        Timestamp::from_unix_ms(self.last_seen.load(Ordering::Relaxed))
    }

    /// Messages to it.
    pub fn messages_sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }

    /// Messages from it.
    pub fn messages_received(&self) -> u64 {
        self.received.load(Ordering::Relaxed)
    }
}
