//! Histograms of latencies in nanoseconds.

use hdrhistogram::Histogram;

/// An empty histogram with three digits from a microsecond to an hour. `saturating_record` counts longer times as
/// an hour.
pub fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1_000, 3_600_000_000_000, 3).expect("valid bounds")
}

/// A quantile in milliseconds.
pub fn millis(of: &Histogram<u64>, quantile: f64) -> f64 {
    of.value_at_quantile(quantile) as f64 / 1e6
}
