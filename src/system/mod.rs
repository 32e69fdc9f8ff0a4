//! Health of the daemon process: uptime, memory, and whether the store takes writes. Publishes it
//! as `system_status` (`docs/protocol.md#event-types`).

mod event;
mod memory;

use std::time::{Duration, Instant};

use wallcast_core::clock::Timestamp;

pub use event::system_status;

/// From this share of the memory limit or of the connection limit, the status is degraded.
const DEGRADED_PERCENT: u64 = 90;

/// Start time and memory limit of the process.
#[derive(Debug)]
pub struct System {
    started: Instant,
    started_at: Timestamp,
    /// In bytes; `None` if the system does not report it.
    memory_limit: Option<u64>,
}

/// Overall health.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HealthStatus {
    Healthy,
    /// Everything works, but memory or connections are almost used up.
    Degraded,
    /// The store does not accept writes.
    Unhealthy,
}

impl HealthStatus {
    /// The value in events and in the API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Healthy => "healthy",
            Self::Degraded => "degraded",
            Self::Unhealthy => "unhealthy",
        }
    }
}

/// Measurements of the process at one moment.
#[derive(Clone, Copy, Debug)]
pub struct SystemHealth {
    /// Whether the store accepts writes.
    pub is_writable: bool,
    pub uptime: Duration,
    /// Resident memory in bytes; 0 if the system does not report it.
    pub memory: u64,
    /// Memory available to the process in bytes: the machine's, or its container's limit if lower.
    pub memory_limit: Option<u64>,
    pub sockets: usize,
    pub max_sockets: usize,
    /// Authenticated sessions.
    pub sessions: usize,
}

impl System {
    /// Starts the uptime clock and reads the memory limit.
    pub fn start() -> Self {
        Self {
            started: Instant::now(),
            started_at: Timestamp::now(),
            memory_limit: memory::memory_limit(),
        }
    }

    pub fn uptime(&self) -> Duration {
        self.started.elapsed()
    }

    /// Resident memory in bytes; 0 if the system does not report it.
    pub fn memory(&self) -> u64 {
        memory::memory().unwrap_or(0)
    }

    /// In bytes; `None` if the system does not report it.
    pub fn memory_limit(&self) -> Option<u64> {
        self.memory_limit
    }

    pub fn started_at(&self) -> Timestamp {
        self.started_at
    }
}

impl SystemHealth {
    pub fn status(&self) -> HealthStatus {
        let as_u64 = |n: usize| u64::try_from(n).unwrap_or(u64::MAX);
        let is_degraded =
            |used: u64, all: u64| used.saturating_mul(100) >= all.saturating_mul(DEGRADED_PERCENT);
        if !self.is_writable {
            HealthStatus::Unhealthy
        } else if self
            .memory_limit
            .is_some_and(|all| is_degraded(self.memory, all))
            || is_degraded(as_u64(self.sockets), as_u64(self.max_sockets))
        {
            HealthStatus::Degraded
        } else {
            HealthStatus::Healthy
        }
    }

    /// Hours and minutes: `2h 30m`.
    pub fn uptime_text(&self) -> String {
        let minutes = self.uptime.as_secs() / 60;
        format!("{}h {}m", minutes / 60, minutes % 60)
    }

    /// Used share of the memory limit, rounded up: `45%`.
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

    fn health() -> SystemHealth {
        SystemHealth {
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
    fn texts_match_the_board_format() {
        assert_eq!(health().uptime_text(), "2h 30m");
        assert_eq!(health().memory_text(), "45%");
        let long = SystemHealth {
            uptime: Duration::from_secs(100 * 3600),
            memory: 1,
            ..health()
        };
        assert_eq!(long.uptime_text(), "100h 0m");
        assert_eq!(long.memory_text(), "1%");
        let unknown = SystemHealth {
            memory_limit: None,
            ..health()
        };
        assert_eq!(unknown.memory_text(), "0%");
    }

    #[test]
    fn status_follows_store_memory_and_sockets() {
        assert_eq!(health().status(), HealthStatus::Healthy);
        let memory = SystemHealth {
            memory: 90 << 20,
            ..health()
        };
        let sockets = SystemHealth {
            sockets: 9,
            ..health()
        };
        assert_eq!(memory.status(), HealthStatus::Degraded);
        assert_eq!(sockets.status(), HealthStatus::Degraded);
        let store = SystemHealth {
            is_writable: false,
            ..memory
        };
        assert_eq!(store.status(), HealthStatus::Unhealthy);
    }
}
