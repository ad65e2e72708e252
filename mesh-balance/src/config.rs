use crate::Observer;
use std::time::Duration;

/// The settings of a [`Balance`](crate::Balance); the default needs no change.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Config {
    /// Longest wait of a request for an endpoint while there is none. Default 3 s.
    pub fail_fast: Duration,
    /// Largest number of requests that wait for an endpoint; more fail at once. Default 4,096.
    ///
    /// Each holds memory for up to `fail_fast`. The default, at 3 s, is a thousand requests a
    /// second to a service that is not there.
    pub max_waiting: usize,
    /// When an endpoint is left out for failing; `None` is never.
    pub ejection: Option<Ejection>,
    /// Callback for endpoints that are ejected and for those that serve again.
    pub observer: Option<Observer>,
    /// Time in which an endpoint that joins others reaches its full share; zero disables it.
    /// Default 10 s.
    pub slow_start: Duration,
    /// The most endpoints to use of those there are; `None` is all.
    ///
    /// Of thousands of endpoints a client need not be connected to each. Which ones it uses
    /// depends on `seed`, and changes by one when one endpoint comes or goes.
    pub subset: Option<usize>,
    /// Makes choices repeatable, for tests; `None` seeds each balance differently.
    pub seed: Option<u64>,
}

impl Config {
    /// Limits the wait for an endpoint while there is none.
    #[must_use]
    pub fn with_fail_fast(mut self, limit: Duration) -> Self {
        self.fail_fast = limit;
        self
    }

    /// Limits how many requests may wait for an endpoint at a time.
    #[must_use]
    pub fn with_max_waiting(mut self, most: usize) -> Self {
        self.max_waiting = most;
        self
    }

    /// Sets when an endpoint is left out for failing; `None` is never.
    #[must_use]
    pub fn with_ejection(mut self, ejection: impl Into<Option<Ejection>>) -> Self {
        self.ejection = ejection.into();
        self
    }

    /// Tells `observer` of endpoints that are left out, and of those that serve again.
    #[must_use]
    pub fn with_observer(mut self, observer: impl Into<Option<Observer>>) -> Self {
        self.observer = observer.into();
        self
    }

    /// Sets the time in which a new endpoint reaches its full share; zero is at once.
    #[must_use]
    pub fn with_slow_start(mut self, time: Duration) -> Self {
        self.slow_start = time;
        self
    }

    /// Uses at most this many of the endpoints.
    #[must_use]
    pub fn with_subset(mut self, most: usize) -> Self {
        self.subset = Some(most);
        self
    }

    /// Makes choices repeatable, for tests.
    #[must_use]
    pub fn with_seed(mut self, seed: u64) -> Self {
        self.seed = Some(seed);
        self
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            fail_fast: Duration::from_secs(3),
            max_waiting: 4_096,
            ejection: Some(Ejection::default()),
            observer: None,
            slow_start: Duration::from_secs(10),
            subset: None,
            seed: None,
        }
    }
}

/// When an endpoint is left out, and for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Ejection {
    /// Consecutive failures that eject an endpoint. Default 7.
    pub failures: u32,
    /// Duration of the first ejection, plus up to half of it at random. Each further ejection
    /// without a recovery between takes twice as long. Default 1 s.
    pub min: Duration,
    /// The longest an ejection lasts, before that random half. Default 60 s.
    pub max: Duration,
}

impl Ejection {
    /// Sets how many failures in a row eject an endpoint.
    #[must_use]
    pub fn with_failures(mut self, failures: u32) -> Self {
        self.failures = failures;
        self
    }

    /// Sets the length of the first ejection.
    #[must_use]
    pub fn with_min(mut self, min: Duration) -> Self {
        self.min = min;
        self
    }

    /// Sets the greatest length of an ejection.
    #[must_use]
    pub fn with_max(mut self, max: Duration) -> Self {
        self.max = max;
        self
    }
}

impl Default for Ejection {
    fn default() -> Self {
        Self {
            failures: 7,
            min: Duration::from_secs(1),
            max: Duration::from_secs(60),
        }
    }
}
