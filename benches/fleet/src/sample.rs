//! The result of one round.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::Path;

use serde_json::json;

use crate::Outcome;
use crate::subject::Subject;
use crate::tablet::Faults;

#[derive(Clone, Debug)]
pub struct Sample {
    pub subject: Subject,
    pub sockets: usize,
    /// Resident memory after the ready line, in KiB.
    pub resident_at_start: u64,
    /// Proportional memory per idle socket, in KiB.
    pub idle_socket: f64,
    /// Processor time of a full handshake, the upgrade and the welcome, in µs.
    pub handshake: f64,
    /// Handshakes per second, with 32 at a time.
    pub handshakes_per_second: f64,
    /// Processor time of a publication without subscribers, in µs.
    pub publication: f64,
    /// Processor time per delivery, including the publications, in µs.
    pub delivery: f64,
    /// From publishing to receiving, at 20 events per second or less, in ms.
    pub latency_p50: f64,
    pub latency_p99: f64,
    pub faults: Faults,
}

impl Sample {
    /// Appends the sample to a file as a line of JSON.
    pub fn append_to(&self, path: &Path) -> Outcome<()> {
        let line = json!({
            "server": self.subject.to_string(),
            "sockets": self.sockets,
            "residentAtStartKiB": self.resident_at_start,
            "idleSocketKiB": self.idle_socket,
            "handshakeMicros": self.handshake,
            "handshakesPerSecond": self.handshakes_per_second,
            "publicationMicros": self.publication,
            "deliveryMicros": self.delivery,
            "latencyP50Millis": self.latency_p50,
            "latencyP99Millis": self.latency_p99,
            "lost": self.faults.lost,
            "duplicates": self.faults.duplicates,
            "outOfOrder": self.faults.out_of_order,
        });
        let mut file = OpenOptions::new().create(true).append(true).open(path)?;
        Ok(writeln!(file, "{line}")?)
    }
}
