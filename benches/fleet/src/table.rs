//! The table of a run: medians, and each server's ratio to the bare limit.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::chart::{Chart, Line};
use crate::sample::Sample;
use crate::subject::Subject;

/// A column: what it is called, and the figure of a sample.
type Column = (&'static str, fn(&Sample) -> f64);

const COLUMNS: [Column; 11] = [
    ("delivery µs", |sample| sample.delivery),
    ("unheard publication µs", |sample| sample.publication),
    ("p50 ms", |sample| sample.latency_p50),
    ("p99 ms", |sample| sample.latency_p99),
    ("idle socket KiB", |sample| sample.idle_socket),
    ("handshake µs", |sample| sample.handshake),
    ("handshakes a second", |sample| sample.handshakes_a_second),
    ("at start MB", |sample| {
        sample.resident_at_start as f64 / 1024.0
    }),
    ("lost", |sample| sample.faults.lost as f64),
    ("twice", |sample| sample.faults.twice as f64),
    ("out of order", |sample| sample.faults.late as f64),
];

/// Markdown, one row for each server and number of sockets.
pub fn of(samples: &[Sample]) -> String {
    let mut rows: BTreeMap<(usize, Subject), Vec<&Sample>> = BTreeMap::new();
    for sample in samples {
        let row = rows.entry((sample.sockets, sample.subject)).or_default();
        row.push(sample);
    }
    let mut text = String::from("| sockets | server | × limit |");
    for (name, _) in COLUMNS {
        let _ = write!(text, " {name} |");
    }
    text.push_str("\n| --- | --- | --- |");
    text.push_str(&" --- |".repeat(COLUMNS.len()));
    text.push('\n');
    for ((sockets, subject), row) in &rows {
        let delivery = median(row, |sample| sample.delivery);
        let limit = rows.get(&(*sockets, Subject::Limit));
        let ratio = limit.map(|limit| delivery / median(limit, |sample| sample.delivery));
        let ratio = ratio.map_or_else(|| "-".to_owned(), |ratio| format!("{ratio:.2}"));
        let _ = write!(text, "| {sockets} | {subject} | {ratio} |");
        for (_, figure) in COLUMNS {
            let _ = write!(text, " {:.1} |", median(row, figure));
        }
        text.push('\n');
    }
    text
}

/// Markdown, one row for each point of the charts.
pub fn of_charts(charts: &[Chart]) -> String {
    let mut text = String::from("| what | of | |\n| --- | --- | --- |\n");
    for chart in charts {
        for line in &chart.lines {
            let of = match chart.lines.len() {
                1 => String::new(),
                _ => format!(", {}", line.name),
            };
            for (x, y) in &line.points {
                let (title, unit_x, unit_y) = (chart.title, chart.x, chart.y);
                let _ = writeln!(text, "| {title} | {x} {unit_x}{of} | {y:.1} {unit_y} |");
            }
        }
    }
    text
}

/// Markdown: what a delivery to many sockets costs against one to few.
pub fn growth(deliveries: &Chart) -> String {
    let mut text = String::new();
    for line in &deliveries.lines {
        if let (Some((few, little)), Some((many, much))) = (line.points.first(), line.points.last())
            && many > few
        {
            let ratio = much / little;
            let _ = writeln!(text, "| {} | {ratio:.2} | {few} to {many} |", line.name);
        }
    }
    match text.as_str() {
        "" => text,
        rows => format!("| server | a delivery grows × | sockets |\n| --- | --- | --- |\n{rows}"),
    }
}

/// What a delivery costs by the number of sockets, a line for each server.
pub fn deliveries(samples: &[Sample]) -> Chart {
    let mut lines: BTreeMap<Subject, BTreeMap<usize, Vec<&Sample>>> = BTreeMap::new();
    for sample in samples {
        let line = lines.entry(sample.subject).or_default();
        line.entry(sample.sockets).or_default().push(sample);
    }
    let lines = lines.into_iter().map(|(subject, rows)| Line {
        name: subject.to_string(),
        points: rows
            .into_iter()
            .map(|(sockets, row)| (sockets as f64, median(&row, |sample| sample.delivery)))
            .collect(),
    });
    Chart {
        name: "delivery",
        title: "Server processor time for each delivery",
        x: "sockets",
        y: "µs",
        lines: lines.collect(),
    }
}

fn median(row: &[&Sample], figure: fn(&Sample) -> f64) -> f64 {
    middle(row.iter().map(|sample| figure(sample)).collect())
}

/// The median; of none it is 0.
pub fn middle(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures.get(figures.len() / 2).copied().unwrap_or_default()
}
