//! Counts, rates and quantiles that the answers are made of.

use crate::stats::{Family, Histogram, Increase, Outcome};
use std::time::{Duration, Instant};

/// Responses by outcome, and the time over which they came.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Responses {
    /// Responses that count as a success.
    pub successes: u64,
    /// Responses that count as a failure.
    pub failures: u64,
    /// The time over which they came; zero without any.
    pub over: Duration,
}

impl Responses {
    /// All responses.
    pub fn total(&self) -> u64 {
        self.successes + self.failures
    }

    /// Share of successes, between 0 and 1; `None` without responses.
    pub fn success(&self) -> Option<f64> {
        let total = self.total();
        (total > 0).then(|| self.successes as f64 / total as f64)
    }

    /// Responses a second; `None` without responses.
    pub fn per_second(&self) -> Option<f64> {
        per_second(self.total(), self.over).filter(|_| self.total() > 0)
    }
}

/// Quantiles of the time that responses took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Latency {
    /// The median.
    pub p50: Duration,
    /// 95 % took at most this long.
    pub p95: Duration,
    /// 99 % took at most this long.
    pub p99: Duration,
}

impl Latency {
    fn of(histogram: &Histogram) -> Self {
        let quantile = |q| {
            let millis = histogram.quantile(q).unwrap_or_default();
            Duration::from_secs_f64(millis / 1_000.0)
        };
        Self {
            p50: quantile(0.5),
            p95: quantile(0.95),
            p99: quantile(0.99),
        }
    }
}

/// TCP connections and the bytes on them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tcp {
    /// Connections that are open now, if a sidecar tells.
    pub open: Option<u64>,
    /// Bytes that were read.
    pub read: u64,
    /// Bytes that were written.
    pub written: u64,
    /// The time over which they were; zero if unknown.
    pub over: Duration,
}

impl Tcp {
    /// Bytes a second that were read.
    pub fn read_per_second(&self) -> Option<f64> {
        per_second(self.read, self.over)
    }

    /// Bytes a second that were written.
    pub fn written_per_second(&self) -> Option<f64> {
        per_second(self.written, self.over)
    }
}

fn per_second(count: u64, over: Duration) -> Option<f64> {
    let seconds = over.as_secs_f64();
    (seconds > 0.0).then(|| count as f64 / seconds)
}

/// Sums of responses and their latency.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Tally {
    successes: u64,
    failures: u64,
    latency: Histogram,
    since: Option<Instant>,
}

impl Tally {
    pub(super) fn add(&mut self, increase: &Increase<'_>) {
        match increase.labels.outcome {
            Some(Outcome::Success) => self.successes += increase.count,
            Some(Outcome::Failure) => self.failures += increase.count,
            None => return,
        }
        self.since = earliest(self.since, increase.since);
    }

    pub(super) fn add_latency(&mut self, increase: &Increase<'_>) {
        self.latency.add(increase.bucket, increase.count);
    }

    /// The responses until `end`.
    pub(super) fn responses(&self, end: Instant) -> Responses {
        Responses {
            successes: self.successes,
            failures: self.failures,
            over: over(self.since, end),
        }
    }

    /// Zero where there were responses but no latencies.
    pub(super) fn latency(&self) -> Option<Latency> {
        (!self.is_empty()).then(|| Latency::of(&self.latency))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.successes + self.failures == 0
    }
}

/// Sums of one resource.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct ResourceTally {
    pub(super) responses: Tally,
    open: Option<u64>,
    read: u64,
    written: u64,
    since: Option<Instant>,
}

impl ResourceTally {
    pub(super) fn add(&mut self, increase: &Increase<'_>) {
        match increase.family {
            Family::Responses => self.responses.add(increase),
            Family::Latency => self.responses.add_latency(increase),
            Family::TcpOpen => *self.open.get_or_insert(0) += increase.count,
            Family::TcpRead => self.read += increase.count,
            Family::TcpWritten => self.written += increase.count,
            _ => return,
        }
        self.since = earliest(self.since, increase.since);
    }

    /// Returns true if no sidecar counted anything.
    pub(super) fn is_empty(&self) -> bool {
        self.responses.is_empty() && self.open.is_none() && self.read + self.written == 0
    }

    /// Connections, and bytes until `end`.
    pub(super) fn tcp(&self, end: Instant) -> Option<Tcp> {
        (self.open.is_some() || self.read + self.written > 0).then(|| Tcp {
            open: self.open,
            read: self.read,
            written: self.written,
            over: over(self.since, end),
        })
    }
}

fn earliest(one: Option<Instant>, other: Instant) -> Option<Instant> {
    Some(one.map_or(other, |one| one.min(other)))
}

fn over(since: Option<Instant>, end: Instant) -> Duration {
    since.map_or(Duration::ZERO, |since| end.saturating_duration_since(since))
}
