use super::Histogram;
use mesh_core::{Class, Fault, RetrySkipped};
use std::{
    cmp::Ordering,
    collections::BTreeMap,
    fmt,
    ops::{AddAssign, Index},
    sync::{Arc, LazyLock},
};

/// Counters at one instant. Snapshots of several workers can be added.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Snapshot {
    pub(super) routes: BTreeMap<Arc<str>, RouteStats>,
    pub(super) endpoint: View,
}

impl Snapshot {
    /// The routes that had requests, by name.
    pub fn routes(&self) -> impl Iterator<Item = (&str, &RouteStats)> {
        self.routes.iter().map(|(name, stats)| (&**name, stats))
    }

    /// The route called `name`, if it had requests.
    pub fn route(&self, name: &str) -> Option<&RouteStats> {
        self.routes.get(name)
    }

    /// Returns the counters of [`Stats::endpoint`](super::Stats::endpoint).
    pub fn endpoint(&self) -> &View {
        &self.endpoint
    }
}

impl Index<&str> for Snapshot {
    type Output = RouteStats;

    /// The route called `name`; one without requests is all zero.
    fn index(&self, name: &str) -> &RouteStats {
        static NONE: LazyLock<RouteStats> = LazyLock::new(RouteStats::default);
        self.routes.get(name).unwrap_or(&NONE)
    }
}

impl AddAssign<&Self> for Snapshot {
    fn add_assign(&mut self, other: &Self) {
        for (name, theirs) in &other.routes {
            let mine = self.routes.entry(name.clone()).or_default();
            mine.effective += &theirs.effective;
            mine.actual += &theirs.actual;
            mine.retryable += &theirs.retryable;
        }
        self.endpoint += &other.endpoint;
    }
}

impl AddAssign for Snapshot {
    fn add_assign(&mut self, other: Self) {
        *self += &other;
    }
}

/// One route's counts.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct RouteStats {
    /// Over original requests, after retries: what callers see.
    pub effective: View,
    /// Over attempts: what the service did.
    pub actual: View,
    /// Retries and skipped retries of failures that are of a retryable kind.
    pub retryable: Retryable,
}

/// Failures of retryable requests.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Retryable {
    /// Those that were tried again.
    pub retried: u64,
    /// Those that were not, by reason (the value of the metric label `skipped`).
    pub skipped: BTreeMap<&'static str, u64>,
}

impl Retryable {
    /// Returns the number of failures that were not retried for this reason.
    pub fn skipped(&self, reason: RetrySkipped) -> u64 {
        self.skipped.get(reason.as_str()).copied().unwrap_or(0)
    }
}

impl AddAssign<&Self> for Retryable {
    fn add_assign(&mut self, other: &Self) {
        self.retried += other.retried;
        for (reason, count) in &other.skipped {
            *self.skipped.entry(reason).or_default() += count;
        }
    }
}

/// Requests and responses from one point of view.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct View {
    /// Requests dispatched.
    pub requests: u64,
    /// Responses that are over, by what they came to.
    pub responses: BTreeMap<Outcome, u64>,
    /// Time from dispatch to the first frame of the response body, by status.
    pub latency: BTreeMap<Status, Histogram>,
}

impl View {
    /// Responses that count as a success.
    pub fn successes(&self) -> u64 {
        self.of_class(Class::Success)
    }

    /// Responses, and errors instead of one, that count as a failure.
    pub fn failures(&self) -> u64 {
        self.of_class(Class::Failure)
    }

    fn of_class(&self, class: Class) -> u64 {
        self.responses
            .iter()
            .filter(|(outcome, _)| outcome.class == class)
            .map(|(_, count)| count)
            .sum()
    }

    /// The share of successes, 0 to 1; `None` when nothing is over yet.
    pub fn success_rate(&self) -> Option<f64> {
        let (successes, failures) = (self.successes(), self.failures());
        let total = successes + failures;
        (total > 0).then(|| successes as f64 / total as f64)
    }

    /// The latencies of all statuses.
    pub fn latencies(&self) -> Histogram {
        let mut all = Histogram::default();
        for histogram in self.latency.values() {
            all += histogram;
        }
        all
    }
}

impl AddAssign<&Self> for View {
    fn add_assign(&mut self, other: &Self) {
        self.requests += other.requests;
        for (outcome, count) in &other.responses {
            *self.responses.entry(*outcome).or_default() += count;
        }
        for (status, histogram) in &other.latency {
            *self.latency.entry(*status).or_default() += histogram;
        }
    }
}

/// The result of one response: the labels it is counted under.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Outcome {
    /// The response's status.
    pub status: Status,
    /// The gRPC status of a gRPC response that stated one.
    pub grpc_status: Option<u16>,
    /// Success or failure.
    pub class: Class,
    /// Reason for a missing or incomplete response.
    pub fault: Option<Fault>,
}

impl Outcome {
    pub(super) fn new(status: Status, class: Class) -> Self {
        Self {
            status,
            grpc_status: None,
            class,
            fault: None,
        }
    }

    fn key(&self) -> impl Ord {
        let fault = self.fault.map(Fault::as_str);
        (self.status, self.grpc_status, self.class.as_str(), fault)
    }
}

impl Ord for Outcome {
    fn cmp(&self, other: &Self) -> Ordering {
        self.key().cmp(&other.key())
    }
}

impl PartialOrd for Outcome {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// The status that a response is counted under.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Status {
    /// An error came instead of a response.
    None,
    /// The response's own.
    Code(u16),
    /// Too many different outcomes were seen to tell more of them apart.
    Other,
}

impl fmt::Display for Status {
    /// The value of the metric label `status_code`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => Ok(()),
            Self::Code(code) => write!(f, "{code}"),
            Self::Other => f.write_str(super::Stats::OTHER),
        }
    }
}
