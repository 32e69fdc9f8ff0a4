//! Builds the event `system_status` (`docs/protocol.md#event-types`).

use serde_json::json;
use wallcast_core::event::{EventType, NewEvent, Topic};

use super::SystemHealth;

/// The texts that the status board shows, with the numbers behind them.
pub fn system_status(health: &SystemHealth) -> NewEvent {
    let data = json!({
        "status": health.status().as_str(),
        "details": {
            "uptime": health.uptime_text(),
            "uptime_seconds": health.uptime.as_secs(),
            "memory_usage": health.memory_text(),
            "memory_bytes": health.memory,
            "memory_limit_bytes": health.memory_limit,
            "database": if health.is_writable { "connected" } else { "not writable" },
            "connections": health.sockets,
            "max_connections": health.max_sockets,
            "clients": health.sessions,
            "version": env!("CARGO_PKG_VERSION"),
        },
    });
    NewEvent::new(EventType::SYSTEM_STATUS, &data, vec![Topic::All])
}
