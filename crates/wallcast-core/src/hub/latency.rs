//! The latency of deliveries, from the publication right after the commit to the last byte handed to the kernel.

use std::collections::VecDeque;
use std::time::Duration;

use hdrhistogram::Histogram;

/// Percentiles are computed over this many recent deliveries.
pub const WINDOW: usize = 10_000;

/// The durations of recent deliveries, and the totals of all.
#[derive(Debug, Default)]
pub(super) struct Latency {
    /// In microseconds, oldest first.
    recent: VecDeque<u32>,
    deliveries: u64,
    total: Duration,
}

/// Percentiles of the recent deliveries, in milliseconds; all 0 while there were none.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Percentiles {
    /// 50th percentile.
    pub median: f64,
    /// 95th percentile.
    pub p95: f64,
    /// 99th percentile.
    pub p99: f64,
}

/// The deliveries since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DeliveryTotals {
    /// The number of deliveries.
    pub count: u64,
    /// The sum of their durations.
    pub total: Duration,
}

impl Latency {
    pub(super) fn record(&mut self, took: Duration) {
        if self.recent.len() == WINDOW {
            self.recent.pop_front();
        }
        let micros = u32::try_from(took.as_micros()).unwrap_or(u32::MAX);
        self.recent.push_back(micros);
        self.deliveries += 1;
        self.total += took;
    }

    pub(super) fn recent(&self) -> Vec<u32> {
        self.recent.iter().copied().collect()
    }

    pub(super) fn deliveries(&self) -> DeliveryTotals {
        DeliveryTotals {
            count: self.deliveries,
            total: self.total,
        }
    }
}

impl Percentiles {
    /// Computes percentiles of durations in microseconds, to three significant digits.
    pub(super) fn of(micros: &[u32]) -> Self {
        let histogram = Histogram::<u32>::new_with_bounds(1, u64::from(u32::MAX), 3);
        let Ok(mut histogram) = histogram.inspect_err(|error| {
            tracing::error!(%error, "cannot create the latency histogram");
        }) else {
            return Self::default();
        };
        for value in micros {
            histogram.saturating_record(u64::from(*value));
        }
        #[allow(
            clippy::cast_precision_loss,
            reason = "32 bits of microseconds are exact in a double"
        )]
        let at = |quantile| histogram.value_at_quantile(quantile) as f64 / 1000.0;
        Self {
            median: at(0.5),
            p95: at(0.95),
            p99: at(0.99),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_in_milliseconds() {
        assert_eq!(Percentiles::of(&[]), Percentiles::default());
        let micros: Vec<u32> = (1..=100).map(|ms| ms * 1000).collect();
        let found = Percentiles::of(&micros);
        for (actual, expected) in [(found.median, 50.0), (found.p95, 95.0), (found.p99, 99.0)] {
            assert!(
                (actual - expected).abs() < expected / 500.0,
                "{actual} is not {expected}"
            );
        }
    }

    #[test]
    fn percentiles_use_window_and_totals_use_all() {
        let mut latency = Latency::default();
        for _ in 0..WINDOW {
            latency.record(Duration::from_secs(9));
        }
        for _ in 0..WINDOW {
            latency.record(Duration::from_millis(2));
        }
        let found = Percentiles::of(&latency.recent());
        assert!((found.p99 - 2.0).abs() < 0.01, "{found:?}");
        assert_eq!(latency.recent().len(), WINDOW);
        assert_eq!(latency.deliveries().count, 2 * WINDOW as u64);
        assert_eq!(latency.deliveries().total, Duration::from_secs(90_020));
    }

    #[test]
    fn delivery_longer_than_an_hour_is_saturated() {
        let mut latency = Latency::default();
        latency.record(Duration::from_secs(100_000));
        assert!(Percentiles::of(&latency.recent()).median > 4_000_000.0);
    }
}
