//! Distributions, and the shapes of what is printed.

use hdrhistogram::Histogram;
use serde::Serialize;

/// A distribution of times in nanoseconds, kept to three digits.
pub struct Times(Histogram<u64>);

#[derive(Debug, Default, Serialize)]
pub struct Percentiles {
    pub count: u64,
    pub p50_ms: f64,
    pub p99_ms: f64,
    pub p999_ms: f64,
    pub max_ms: f64,
}

impl Times {
    pub fn new() -> Self {
        Times(Histogram::new_with_bounds(1_000, 600_000_000_000, 3).expect("valid bounds"))
    }

    pub fn record(&mut self, nanos: u64) {
        self.0.saturating_record(nanos);
    }

    pub fn add(&mut self, other: &Times) {
        self.0.add(&other.0).expect("the same bounds");
    }

    pub fn least(&self) -> u64 {
        self.0.min()
    }

    pub fn percentiles(&self) -> Percentiles {
        let at = |quantile| self.0.value_at_quantile(quantile) as f64 / 1e6;
        Percentiles {
            count: self.0.len(),
            p50_ms: at(0.5),
            p99_ms: at(0.99),
            p999_ms: at(0.999),
            max_ms: self.0.max() as f64 / 1e6,
        }
    }
}

/// One direction of all calls together. Counts start with each call's first packet that came through.
#[derive(Debug, Default, Serialize)]
pub struct Direction {
    pub sent: u64,
    pub received: u64,
    pub lost: u64,
    pub late: u64,
    pub doubles: u64,
    /// Packets of another call: audio in the wrong ear.
    pub strangers: u64,
    pub damaged: u64,
    /// Prompts, tones, comfort noise.
    pub foreign: u64,
    pub sent_before_connected: u64,
    pub delay: Percentiles,
    /// Only while all calls were up (`--together`).
    pub delay_steady: Percentiles,
}

/// This program itself: whether its figures can be trusted.
#[derive(Debug, Default, Serialize)]
pub struct Own {
    pub cpu_s: f64,
    pub cpu_share: f64,
    /// How late the slots of the pace were served.
    pub pace_late: Percentiles,
    pub packets_sent: u64,
    /// Not sent at all, because this program was too late for them (they have no number, so they are not lost).
    pub packets_skipped: u64,
    pub packets_refused_by_kernel: u64,
    pub packets_dropped_unread: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_those_of_the_values() {
        let mut times = Times::new();
        (1..=1000_u64).for_each(|n| times.record(n * 1_000_000));
        let told = times.percentiles();
        assert_eq!(told.count, 1000);
        for (value, wanted) in [(told.p50_ms, 500.0), (told.p99_ms, 990.0), (told.max_ms, 1000.0)] {
            assert!((value - wanted).abs() <= wanted / 500.0, "{value} {wanted}");
        }
    }

    #[test]
    fn beyond_the_bounds_is_kept_at_the_bound() {
        let mut times = Times::new();
        times.record(u64::MAX);
        assert!(times.percentiles().max_ms >= 600_000.0);
    }
}
