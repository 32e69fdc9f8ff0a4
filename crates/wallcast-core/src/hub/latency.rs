//! How long events take from their commit to the last byte handed to the kernel, over the last
//! deliveries. Counts what it is told, and knows neither events nor sessions.

use std::collections::VecDeque;
use std::time::Duration;

use hdrhistogram::Histogram;

/// Deliveries that are looked back on (contract 6.4).
pub const WINDOW: usize = 10_000;

/// The last deliveries.
#[derive(Debug, Default)]
pub(super) struct Latency {
    /// In microseconds, oldest first.
    recent: VecDeque<u32>,
    deliveries: u64,
    total: Duration,
}

/// What a moment's look at the latency found.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Percentiles {
    /// Half of the deliveries took no longer, in milliseconds.
    pub median: f64,
    /// 95 of a hundred.
    pub p95: f64,
    /// 99 of a hundred.
    pub p99: f64,
}

/// All deliveries since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Deliveries {
    /// How many.
    pub count: u64,
    /// How long they took together.
    pub total: Duration,
}

impl Latency {
    pub(super) fn note(&mut self, took: Duration) {
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

    pub(super) fn deliveries(&self) -> Deliveries {
        Deliveries {
            count: self.deliveries,
            total: self.total,
        }
    }
}

impl Percentiles {
    /// Of deliveries in microseconds, to three digits; all 0 while there were none.
    pub(super) fn of(micros: &[u32]) -> Self {
        let histogram = Histogram::<u32>::new_with_bounds(1, u64::from(u32::MAX), 3);
        let Ok(mut histogram) = histogram.inspect_err(|error| {
            tracing::error!(%error, "the bounds of our own histogram are wrong");
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
        for (is, should) in [(found.median, 50.0), (found.p95, 95.0), (found.p99, 99.0)] {
            assert!((is - should).abs() < should / 500.0, "{is} is no {should}");
        }
    }

    #[test]
    fn only_the_last_deliveries_count_and_all_are_counted() {
        let mut latency = Latency::default();
        for _ in 0..WINDOW {
            latency.note(Duration::from_secs(9));
        }
        for _ in 0..WINDOW {
            latency.note(Duration::from_millis(2));
        }
        let found = Percentiles::of(&latency.recent());
        assert!((found.p99 - 2.0).abs() < 0.01, "{found:?}");
        assert_eq!(latency.recent().len(), WINDOW);
        assert_eq!(latency.deliveries().count, 2 * WINDOW as u64);
        assert_eq!(latency.deliveries().total, Duration::from_secs(90_020));
    }

    #[test]
    fn what_takes_an_hour_and_more_is_no_error() {
        let mut latency = Latency::default();
        latency.note(Duration::from_secs(100_000));
        assert!(Percentiles::of(&latency.recent()).median > 4_000_000.0);
    }
}
