//! How the daemon itself is: its uptime, its memory, whether its store takes writes. Tells it as
//! `system_status` (contract section 5), and keeps nothing.

mod event;
mod process;

use std::time::{Duration, Instant};

use wallcast_core::clock::Timestamp;

pub use event::system_status;

/// Of the memory there is, or of the sockets there may be, so much is nearly all.
const NEARLY_ALL_PERCENT: u64 = 90;

/// The running process.
#[derive(Debug)]
pub struct System {
    started: Instant,
    started_at: Timestamp,
    /// The memory that it may use, in bytes, where the system says so.
    memory_limit: Option<u64>,
}

/// How well it goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// As it should.
    Healthy,
    /// Everything works, but something is nearly used up.
    Degraded,
    /// The store takes no writes.
    Unhealthy,
}

impl Status {
    /// The word on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Healthy => "healthy",
            Self::Degraded => "degraded",
            Self::Unhealthy => "unhealthy",
        }
    }
}

/// The process at one moment.
#[derive(Clone, Copy, Debug)]
pub struct Vitals {
    /// Whether the store takes writes.
    pub is_writable: bool,
    /// Since when it runs.
    pub uptime: Duration,
    /// Memory that the process has, in bytes; 0 where the system does not say.
    pub memory: u64,
    /// The memory there is for it, in bytes: the machine's, or its container's if that is less.
    pub memory_limit: Option<u64>,
    /// Open sockets.
    pub sockets: usize,
    /// Sockets there may be.
    pub max_sockets: usize,
    /// Sessions that have proven who they are.
    pub sessions: usize,
}

impl System {
    /// The process, which starts now.
    pub fn start() -> Self {
        Self {
            started: Instant::now(),
            started_at: Timestamp::now(),
            memory_limit: process::memory_limit(),
        }
    }

    /// How long it has been running.
    pub fn uptime(&self) -> Duration {
        self.started.elapsed()
    }

    /// Memory that the process has, in bytes; 0 where the system does not say.
    pub fn memory(&self) -> u64 {
        process::memory().unwrap_or(0)
    }

    /// The memory that it may use, in bytes, where the system says so.
    pub fn memory_limit(&self) -> Option<u64> {
        self.memory_limit
    }

    /// When it started.
    pub fn started_at(&self) -> Timestamp {
        self.started_at
    }
}

impl Vitals {
    /// What they come to.
    pub fn status(&self) -> Status {
        let sockets = |n: usize| u64::try_from(n).unwrap_or(u64::MAX);
        let is_nearly = |used: u64, all: u64| {
            used.saturating_mul(100) >= all.saturating_mul(NEARLY_ALL_PERCENT)
        };
        if !self.is_writable {
            Status::Unhealthy
        } else if self
            .memory_limit
            .is_some_and(|all| is_nearly(self.memory, all))
            || is_nearly(sockets(self.sockets), sockets(self.max_sockets))
        {
            Status::Degraded
        } else {
            Status::Healthy
        }
    }

    /// Hours and minutes, as seed 1 shows them: `2h 30m`.
    pub fn uptime_text(&self) -> String {
        let minutes = self.uptime.as_secs() / 60;
        format!("{}h {}m", minutes / 60, minutes % 60)
    }

    /// The part of the memory there is that the process has, rounded up: `45%`.
    pub fn memory_text(&self) -> String {
        let all = self.memory_limit.unwrap_or(0).max(1);
        let percent = match self.memory_limit {
            Some(_) => self.memory.saturating_mul(100).div_ceil(all).min(100),
            None => 0,
        };
        format!("{percent}%")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vitals() -> Vitals {
        Vitals {
            is_writable: true,
            uptime: Duration::from_secs(2 * 3600 + 30 * 60 + 59),
            memory: 45 << 20,
            memory_limit: Some(100 << 20),
            sockets: 3,
            max_sockets: 10,
            sessions: 3,
        }
    }

    #[test]
    fn shows_what_seed_1_shows() {
        assert_eq!(vitals().uptime_text(), "2h 30m");
        assert_eq!(vitals().memory_text(), "45%");
        let long = Vitals {
            uptime: Duration::from_secs(100 * 3600),
            memory: 1,
            ..vitals()
        };
        assert_eq!(long.uptime_text(), "100h 0m");
        assert_eq!(long.memory_text(), "1%");
        let unknown = Vitals {
            memory_limit: None,
            ..vitals()
        };
        assert_eq!(unknown.memory_text(), "0%");
    }

    #[test]
    fn is_unhealthy_without_its_store_and_degraded_when_something_is_nearly_used_up() {
        assert_eq!(vitals().status(), Status::Healthy);
        let memory = Vitals {
            memory: 90 << 20,
            ..vitals()
        };
        let sockets = Vitals {
            sockets: 9,
            ..vitals()
        };
        assert_eq!(memory.status(), Status::Degraded);
        assert_eq!(sockets.status(), Status::Degraded);
        let store = Vitals {
            is_writable: false,
            ..memory
        };
        assert_eq!(store.status(), Status::Unhealthy);
    }
}
