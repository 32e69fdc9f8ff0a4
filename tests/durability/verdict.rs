//! What tablets were told, held against what they had to be told.

use std::collections::{BTreeMap, HashSet};
use std::fmt;
use std::time::Duration;

use crate::ears::Told;
use crate::tablet::Tablet;
use crate::truth::Truth;

/// Faults that are shown one by one.
const SHOWN: usize = 20;

/// A run in numbers; its `Display` is the table.
pub struct Verdict {
    pub seed: u64,
    pub seconds: u64,
    pub kills: usize,
    pub cuts: usize,
    pub half_open: usize,
    pub events: usize,
    pub answered: usize,
    pub lost: usize,
    pub happened: usize,
    pub rows: Vec<Row>,
    /// Everything that is not as it must be.
    pub faults: Vec<String>,
}

/// The tablets of one dialect together.
#[derive(Default)]
pub struct Row {
    pub name: &'static str,
    pub tablets: usize,
    pub connections: usize,
    pub recovered: usize,
    pub told: usize,
    pub missing: usize,
    pub twice: usize,
    pub unordered: usize,
    /// Told, but not its own or not as the history has it.
    pub strange: usize,
    pub longest: Duration,
}

impl Row {
    /// Sums tablets up; what is wrong with them goes to `faults`.
    pub fn of(
        name: &'static str,
        tablets: &[&Tablet],
        truth: &Truth,
        faults: &mut Vec<String>,
    ) -> Self {
        let mut row = Self {
            name,
            ..Self::default()
        };
        for tablet in tablets {
            row.add(tablet, truth, faults);
        }
        row
    }

    fn add(&mut self, tablet: &Tablet, truth: &Truth, faults: &mut Vec<String>) {
        let mut fault = |what: &str, text: String| {
            faults.push(format!("{} {}: {what} {text}", self.name, tablet.id));
        };
        let heard = tablet.ears.heard();
        let due = truth.concerning(tablet);
        let due: BTreeMap<i64, u64> = due.iter().map(|told| (told.id, told.print)).collect();
        let mut seen = HashSet::new();
        let mut last = 0;
        for &Told { id, print } in &heard.told {
            if !seen.insert(id) {
                self.twice += 1;
                fault("twice", truth.show(id));
            } else if id < last {
                self.unordered += 1;
                fault("out of order", format!("{} after {last}", truth.show(id)));
            }
            if due.get(&id) != Some(&print) {
                self.strange += 1;
                fault("not for it, or not so:", truth.show(id));
            }
            last = id;
        }
        for id in due.keys().filter(|id| !seen.contains(id)) {
            self.missing += 1;
            fault("missing", truth.show(*id));
        }
        for complaint in &heard.complaints {
            fault("complains:", complaint.clone());
        }
        self.tablets += 1;
        self.connections += heard.connections;
        self.recovered += heard.recovered;
        self.told += heard.told.len();
        self.longest = self.longest.max(heard.longest);
    }
}

impl Verdict {
    /// Ends the test unless every event was told once and in order.
    #[track_caller]
    pub fn nothing_lost(&self) {
        println!("{self}");
        assert!(self.faults.is_empty(), "{} faults", self.faults.len());
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "seed {}: {} s, {} kills, {} cuts, {} half-open; {} events; {} writes answered, {} answers lost of which {} had happened",
            self.seed,
            self.seconds,
            self.kills,
            self.cuts,
            self.half_open,
            self.events,
            self.answered,
            self.lost,
            self.happened,
        )?;
        writeln!(
            f,
            "{:<18}{:>8}{:>12}{:>10}{:>10}{:>9}{:>7}{:>14}{:>9}{:>18}",
            "dialect",
            "tablets",
            "connections",
            "recovered",
            "told",
            "missing",
            "twice",
            "out of order",
            "strange",
            "longest recovery"
        )?;
        for row in &self.rows {
            writeln!(
                f,
                "{:<18}{:>8}{:>12}{:>10}{:>10}{:>9}{:>7}{:>14}{:>9}{:>16}ms",
                row.name,
                row.tablets,
                row.connections,
                row.recovered,
                row.told,
                row.missing,
                row.twice,
                row.unordered,
                row.strange,
                row.longest.as_millis()
            )?;
        }
        for fault in self.faults.iter().take(SHOWN) {
            writeln!(f, "{fault}")?;
        }
        match self.faults.len().checked_sub(SHOWN) {
            Some(more @ 1..) => writeln!(f, "and {more} faults more"),
            _ => Ok(()),
        }
    }
}
