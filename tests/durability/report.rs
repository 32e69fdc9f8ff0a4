//! Compares the events that tablets received with those that they should have received.

use std::collections::{BTreeMap, HashSet};
use std::fmt;
use std::time::Duration;

use crate::history::History;
use crate::receiver::ReceivedEvent;
use crate::tablet::Tablet;

/// Faults that are printed one by one.
const SHOWN: usize = 20;

/// The numbers of a run. `Display` prints them as a table, with the first faults below.
pub struct Report {
    pub seed: u64,
    pub seconds: u64,
    pub kills: usize,
    pub cuts: usize,
    pub half_open: usize,
    pub events: usize,
    pub answered: usize,
    pub lost: usize,
    pub applied: usize,
    pub rows: Vec<Row>,
    pub faults: Vec<String>,
}

/// The tablets of one dialect together.
#[derive(Default)]
pub struct Row {
    pub name: &'static str,
    pub tablets: usize,
    pub connections: usize,
    pub recovered: usize,
    pub received: usize,
    pub missing: usize,
    pub duplicates: usize,
    pub unordered: usize,
    /// Received, but not meant for this tablet or different from the history.
    pub unexpected: usize,
    pub longest_recovery: Duration,
}

impl Row {
    /// Adds up the tablets, and appends what is wrong with them to `faults`.
    pub fn of(
        name: &'static str,
        tablets: &[&Tablet],
        history: &History,
        faults: &mut Vec<String>,
    ) -> Self {
        let mut row = Self {
            name,
            ..Self::default()
        };
        for tablet in tablets {
            row.add(tablet, history, faults);
        }
        row
    }

    fn add(&mut self, tablet: &Tablet, history: &History, faults: &mut Vec<String>) {
        let mut fault = |what: &str, text: String| {
            faults.push(format!("{} {}: {what} {text}", self.name, tablet.id));
        };
        let received = tablet.receiver.received();
        let expected = history.expected_for(tablet);
        let expected = expected.iter().map(|event| (event.id, event.fingerprint));
        let expected: BTreeMap<i64, u64> = expected.collect();
        let mut seen = HashSet::new();
        let mut last = 0;
        for &ReceivedEvent { id, fingerprint } in &received.events {
            if !seen.insert(id) {
                self.duplicates += 1;
                fault("duplicate", history.show(id));
            } else if id < last {
                self.unordered += 1;
                fault("out of order", format!("{} after {last}", history.show(id)));
            }
            if expected.get(&id) != Some(&fingerprint) {
                self.unexpected += 1;
                fault("unexpected or altered:", history.show(id));
            }
            last = id;
        }
        for id in expected.keys().filter(|id| !seen.contains(id)) {
            self.missing += 1;
            fault("missing", history.show(*id));
        }
        for violation in &received.violations {
            fault("violation:", violation.clone());
        }
        self.tablets += 1;
        self.connections += received.connections;
        self.recovered += received.recovered;
        self.received += received.events.len();
        self.longest_recovery = self.longest_recovery.max(received.longest_recovery);
    }
}

impl Report {
    /// Panics unless every tablet received each of its events once and in order.
    #[track_caller]
    pub fn assert_nothing_lost(&self) {
        println!("{self}");
        assert!(self.faults.is_empty(), "{} faults", self.faults.len());
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "seed {}: {} s, {} kills, {} cuts, {} half-open; {} events; {} writes answered, {} responses lost of which {} were applied",
            self.seed,
            self.seconds,
            self.kills,
            self.cuts,
            self.half_open,
            self.events,
            self.answered,
            self.lost,
            self.applied,
        )?;
        writeln!(
            f,
            "{:<18}{:>8}{:>12}{:>10}{:>10}{:>9}{:>12}{:>14}{:>12}{:>18}",
            "dialect",
            "tablets",
            "connections",
            "recovered",
            "received",
            "missing",
            "duplicates",
            "out of order",
            "unexpected",
            "longest recovery"
        )?;
        for row in &self.rows {
            writeln!(
                f,
                "{:<18}{:>8}{:>12}{:>10}{:>10}{:>9}{:>12}{:>14}{:>12}{:>16}ms",
                row.name,
                row.tablets,
                row.connections,
                row.recovered,
                row.received,
                row.missing,
                row.duplicates,
                row.unordered,
                row.unexpected,
                row.longest_recovery.as_millis()
            )?;
        }
        for fault in self.faults.iter().take(SHOWN) {
            writeln!(f, "{fault}")?;
        }
        match self.faults.len().checked_sub(SHOWN) {
            Some(more @ 1..) => writeln!(f, "and {more} more faults"),
            _ => Ok(()),
        }
    }
}
