//! Draws line charts as SVG.

use std::fmt::Write as _;

const WIDTH: f64 = 640.0;
const HEIGHT: f64 = 360.0;
const LEFT: f64 = 64.0;
const RIGHT: f64 = 150.0;
const TOP: f64 = 40.0;
const BOTTOM: f64 = 56.0;
/// The palette of Okabe and Ito, which remains distinguishable with colour blindness.
const COLOURS: [&str; 6] = [
    "#000000", "#0072b2", "#009e73", "#d55e00", "#cc79a7", "#e69f00",
];

pub struct Chart {
    /// The file name, without extension.
    pub name: &'static str,
    pub title: &'static str,
    pub x: &'static str,
    pub y: &'static str,
    pub lines: Vec<Line>,
}

pub struct Line {
    pub name: String,
    /// Sorted by x.
    pub points: Vec<(f64, f64)>,
}

impl Chart {
    /// The chart as an SVG document. The x axis is logarithmic unless an x is 0. The y axis starts at 0, or is
    /// logarithmic if the values span more than a factor of 20.
    pub fn svg(&self) -> String {
        let points = || self.lines.iter().flat_map(|line| &line.points);
        let first = points().map(|(x, _)| *x).fold(f64::INFINITY, f64::min);
        let scale = |x: f64| if first > 0.0 { x.ln() } else { x };
        let (low, last) = (
            scale(first),
            points().map(|(x, _)| *x).fold(first, f64::max),
        );
        let span = (scale(last) - low).max(f64::MIN_POSITIVE);
        let marks = marks(points().map(|(_, y)| *y));
        let at_x = |x: f64| LEFT + (scale(x) - low) / span * (WIDTH - LEFT - RIGHT);
        let at_y = |y: f64| HEIGHT - BOTTOM - marks.share(y) * (HEIGHT - TOP - BOTTOM);

        let mut svg = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" \
             font-family=\"sans-serif\" font-size=\"12\">\n\
             <rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n"
        );
        let end = WIDTH - RIGHT;
        put(&mut svg, LEFT, 22.0, "start", self.title);
        put(&mut svg, LEFT, HEIGHT - 12.0, "start", self.x);
        put(&mut svg, 8.0, TOP - 4.0, "start", self.y);
        for value in &marks.values {
            let y = at_y(*value);
            let _ = writeln!(svg, "<path d=\"M{LEFT} {y:.1}H{end}\" stroke=\"#ddd\"/>");
            put(&mut svg, LEFT - 8.0, y + 4.0, "end", &value.to_string());
        }
        let mut marked: Vec<f64> = Vec::new();
        for (x, _) in points() {
            // Skip labels that would overlap.
            if marked
                .iter()
                .all(|other| (at_x(*other) - at_x(*x)).abs() > 28.0)
            {
                marked.push(*x);
                put(
                    &mut svg,
                    at_x(*x),
                    HEIGHT - BOTTOM + 18.0,
                    "middle",
                    &x.to_string(),
                );
            }
        }
        for (line, colour) in self.lines.iter().zip(COLOURS.iter().cycle()) {
            let path: Vec<_> = line
                .points
                .iter()
                .map(|(x, y)| format!("{:.1},{:.1}", at_x(*x), at_y(*y)))
                .collect();
            let _ = writeln!(
                svg,
                "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"/>",
                path.join(" ")
            );
            for (x, y) in &line.points {
                let (x, y) = (at_x(*x), at_y(*y));
                let _ = writeln!(
                    svg,
                    "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3\" fill=\"{colour}\"/>"
                );
            }
        }
        let ends = self.lines.iter().filter_map(|line| {
            let (x, y) = line.points.last()?;
            Some((at_x(*x) + 8.0, at_y(*y) + 4.0, &line.name))
        });
        let mut ends: Vec<_> = ends.collect();
        ends.sort_by(|(_, one, _), (_, other, _)| one.total_cmp(other));
        let mut free = f64::NEG_INFINITY;
        for (x, y, name) in ends {
            // Move names down that would overlap.
            let y = y.max(free);
            free = y + 13.0;
            put(&mut svg, x, y, "start", name);
        }
        svg.push_str("</svg>\n");
        svg
    }
}

/// The marks of the y axis, lowest first.
struct Marks {
    values: Vec<f64>,
    is_logarithmic: bool,
}

impl Marks {
    /// The position of a value on the axis, from 0 (bottom) to 1 (top).
    fn share(&self, value: f64) -> f64 {
        let (first, last) = match self.values.as_slice() {
            [first, .., last] => (*first, *last),
            _ => (0.0, 1.0),
        };
        match self.is_logarithmic {
            true => (value / first).ln() / (last / first).ln(),
            false => (value - first) / (last - first),
        }
    }
}

/// Five marks from 0, or the powers of ten if the values span more than a factor of 20.
fn marks(values: impl Iterator<Item = f64> + Clone) -> Marks {
    let lowest = values.clone().fold(f64::INFINITY, f64::min);
    let highest = values.fold(0.0, f64::max);
    if lowest > 0.0 && highest / lowest > 20.0 {
        let powers = lowest.log10().floor() as i32..=highest.log10().ceil() as i32;
        return Marks {
            values: powers.map(|power| 10_f64.powi(power)).collect(),
            is_logarithmic: true,
        };
    }
    let top = ceiling(highest);
    Marks {
        values: (0..=4).map(|step| top * f64::from(step) / 4.0).collect(),
        is_logarithmic: false,
    }
}

/// The next round number at or above `value`, so that the marks are round.
fn ceiling(value: f64) -> f64 {
    let magnitude = 10_f64.powf(value.max(f64::MIN_POSITIVE).log10().floor());
    let steps = [1.0, 2.0, 4.0, 6.0, 8.0, 10.0];
    let fitting = steps.iter().find(|step| **step * magnitude >= value);
    fitting.unwrap_or(&10.0) * magnitude
}

fn put(svg: &mut String, x: f64, y: f64, anchor: &str, text: &str) {
    let _ = writeln!(
        svg,
        "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\">{text}</text>"
    );
}
