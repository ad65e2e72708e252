//! Adds up what a row is made of.

use crate::stats::{Family, Histogram, Increase, Outcome};
use mesh_api::{Latency, Rate};
use std::time::Instant;

/// Responses by outcome.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Responses {
    success: u64,
    failure: u64,
    since: Option<Instant>,
}

impl Responses {
    pub(super) fn add(&mut self, increase: &Increase<'_>) {
        match increase.labels.outcome {
            Some(Outcome::Success) => self.success += increase.count,
            Some(Outcome::Failure) => self.failure += increase.count,
            None => return,
        }
        self.since = earliest(self.since, increase.since);
    }

    /// Success, and responses a second until `end`.
    pub(super) fn rate(&self, end: Instant) -> Rate {
        let total = self.success + self.failure;
        if total == 0 {
            return Rate::default();
        }
        Rate {
            success: Some(self.success as f64 / total as f64),
            rps: per_second(total, self.since, end),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.success + self.failure == 0
    }
}

/// What a row of `stat` is made of.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Tally {
    pub(super) responses: Responses,
    pub(super) latency: Histogram,
    pub(super) open: Option<u64>,
    read: u64,
    written: u64,
    since: Option<Instant>,
}

impl Tally {
    pub(super) fn add(&mut self, increase: &Increase<'_>) {
        match increase.family {
            Family::Responses => self.responses.add(increase),
            Family::Latency => self.latency.add(increase.bucket, increase.count),
            Family::TcpOpen => *self.open.get_or_insert(0) += increase.count,
            Family::TcpRead => self.read += increase.count,
            Family::TcpWritten => self.written += increase.count,
            _ => return,
        }
        self.since = earliest(self.since, increase.since);
    }

    /// Whether nothing was said about the row.
    pub(super) fn is_empty(&self) -> bool {
        self.responses.is_empty() && self.open.is_none() && self.read + self.written == 0
    }

    pub(super) fn latency(&self) -> Latency {
        latency(&self.responses, &self.latency)
    }

    /// Bytes a second until `end`: read, and written.
    pub(super) fn bytes(&self, end: Instant) -> (Option<f64>, Option<f64>) {
        if self.open.is_none() && self.read + self.written == 0 {
            return (None, None);
        }
        let rate = |bytes| per_second(bytes, self.since, end);
        (rate(self.read), rate(self.written))
    }
}

/// Percentiles in whole milliseconds: zero where there were responses but no latencies.
pub(super) fn latency(responses: &Responses, histogram: &Histogram) -> Latency {
    let percentile = |q| {
        let ms = histogram.quantile(q).unwrap_or_default();
        (!responses.is_empty()).then(|| ms.round() as u64)
    };
    Latency {
        latency_ms_p50: percentile(0.5),
        latency_ms_p95: percentile(0.95),
        latency_ms_p99: percentile(0.99),
    }
}

fn earliest(one: Option<Instant>, other: Instant) -> Option<Instant> {
    Some(one.map_or(other, |one| one.min(other)))
}

fn per_second(count: u64, since: Option<Instant>, end: Instant) -> Option<f64> {
    let seconds = end.saturating_duration_since(since?).as_secs_f64();
    (seconds > 0.0).then(|| count as f64 / seconds)
}
