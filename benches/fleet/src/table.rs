//! Formats the samples of a run as tables: medians, and each server's ratio to `limit`.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::chart::{Chart, Line};
use crate::sample::Sample;
use crate::subject::Subject;

/// A column: its title, and its value in a sample.
type Column = (&'static str, fn(&Sample) -> f64);

const COLUMNS: [Column; 11] = [
    ("delivery µs", |sample| sample.delivery),
    ("publication without subscribers µs", |sample| {
        sample.publication
    }),
    ("p50 ms", |sample| sample.latency_p50),
    ("p99 ms", |sample| sample.latency_p99),
    ("idle socket KiB", |sample| sample.idle_socket),
    ("handshake µs", |sample| sample.handshake),
    ("handshakes per second", |sample| {
        sample.handshakes_per_second
    }),
    ("memory at start MB", |sample| {
        sample.resident_at_start as f64 / 1024.0
    }),
    ("lost", |sample| sample.faults.lost as f64),
    ("duplicates", |sample| sample.faults.duplicates as f64),
    ("out of order", |sample| sample.faults.out_of_order as f64),
];

/// A Markdown table with a row for each server and number of sockets.
pub fn markdown(samples: &[Sample]) -> String {
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
        let delivery = median_of(row, |sample| sample.delivery);
        let limit = rows.get(&(*sockets, Subject::Limit));
        let ratio = limit.map(|limit| delivery / median_of(limit, |sample| sample.delivery));
        let ratio = ratio.map_or_else(|| "-".to_owned(), |ratio| format!("{ratio:.2}"));
        let _ = write!(text, "| {sockets} | {subject} | {ratio} |");
        for (_, value) in COLUMNS {
            let _ = write!(text, " {:.1} |", median_of(row, value));
        }
        text.push('\n');
    }
    text
}

/// A Markdown table with a row for each point of the charts.
pub fn charts_markdown(charts: &[Chart]) -> String {
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

/// A Markdown table of how much a delivery costs with the most sockets, relative to the fewest.
pub fn growth(deliveries: &Chart) -> String {
    let mut text = String::new();
    for line in &deliveries.lines {
        if let (Some((few, least)), Some((many, most))) = (line.points.first(), line.points.last())
            && many > few
        {
            let ratio = most / least;
            let _ = writeln!(text, "| {} | {ratio:.2} | {few} to {many} |", line.name);
        }
    }
    match text.as_str() {
        "" => text,
        rows => {
            format!("| server | growth of a delivery × | sockets |\n| --- | --- | --- |\n{rows}")
        }
    }
}

/// The cost of a delivery by the number of sockets, with a line for each server.
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
            .map(|(sockets, row)| (sockets as f64, median_of(&row, |sample| sample.delivery)))
            .collect(),
    });
    Chart {
        name: "delivery",
        title: "Server processor time per delivery",
        x: "sockets",
        y: "µs",
        lines: lines.collect(),
    }
}

fn median_of(row: &[&Sample], value: fn(&Sample) -> f64) -> f64 {
    median(row.iter().map(|sample| value(sample)).collect())
}

/// The median, or 0 if there are no values.
pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or_default()
}
