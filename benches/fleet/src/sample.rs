//! What one measurement found.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::Path;

use serde_json::json;

use crate::Outcome;
use crate::subject::Subject;
use crate::tablet::Faults;

/// One server with one number of sockets, once.
#[derive(Clone, Debug)]
pub struct Sample {
    pub subject: Subject,
    pub sockets: usize,
    /// Resident memory once it was ready, in KiB.
    pub resident_at_start: u64,
    /// Proportional memory for each socket that is open and silent, in KiB.
    pub idle_socket: f64,
    /// Processor time of a full handshake, the upgrade and the first words, in µs.
    pub handshake: f64,
    /// As many as a fleet on one core opens of a server on another, 32 at a time.
    pub handshakes_a_second: f64,
    /// Processor time of a publication that nobody hears, in µs.
    pub publication: f64,
    /// Processor time for each delivery, publications included, in µs.
    pub delivery: f64,
    /// From publishing to hearing at 20 events a second, in ms.
    pub latency_p50: f64,
    pub latency_p99: f64,
    pub faults: Faults,
}

impl Sample {
    /// Adds it to a file as one line of JSON.
    pub fn append_to(&self, path: &Path) -> Outcome<()> {
        let line = json!({
            "server": self.subject.to_string(),
            "sockets": self.sockets,
            "residentAtStartKiB": self.resident_at_start,
            "idleSocketKiB": self.idle_socket,
            "handshakeMicros": self.handshake,
            "handshakesASecond": self.handshakes_a_second,
            "publicationMicros": self.publication,
            "deliveryMicros": self.delivery,
            "latencyP50Millis": self.latency_p50,
            "latencyP99Millis": self.latency_p99,
            "lost": self.faults.lost,
            "twice": self.faults.twice,
            "outOfOrder": self.faults.late,
        });
        let mut file = OpenOptions::new().create(true).append(true).open(path)?;
        Ok(writeln!(file, "{line}")?)
    }
}
