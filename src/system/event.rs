//! `system_status` (contract section 5), built here and nowhere else.

use serde_json::json;

use super::Vitals;
use wallcast_core::event::{EventType, NewEvent, Topic};

/// Seed 1's shape, with the numbers behind its texts.
pub fn system_status(vitals: &Vitals) -> NewEvent {
    let data = json!({
        "status": vitals.status().as_str(),
        "details": {
            "uptime": vitals.uptime_text(),
            "uptime_seconds": vitals.uptime.as_secs(),
            "memory_usage": vitals.memory_text(),
            "memory_bytes": vitals.memory,
            "memory_limit_bytes": vitals.memory_limit,
            "database": if vitals.is_writable { "connected" } else { "not writable" },
            "connections": vitals.sockets,
            "max_connections": vitals.max_sockets,
            "clients": vitals.sessions,
            "version": env!("CARGO_PKG_VERSION"),
        },
    });
    NewEvent::new(EventType::SYSTEM_STATUS, &data, vec![Topic::All])
}
