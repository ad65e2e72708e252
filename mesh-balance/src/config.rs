use crate::Observer;
use std::time::Duration;

/// The settings of a [`Balance`](crate::Balance); the default needs no change.
#[derive(Clone, Debug)]
pub struct Config {
    /// How long a request waits for an endpoint while there is none. Default 3 s.
    pub fail_fast: Duration,
    /// How many requests may wait for an endpoint at a time; more fail at once. Default 4,096.
    ///
    /// Each holds memory for up to `fail_fast`. The default, at 3 s, is a thousand requests a
    /// second to a service that is not there.
    pub max_waiting: usize,
    /// When an endpoint is left out for failing; `None` is never.
    pub ejection: Option<Ejection>,
    /// Who is told of endpoints that are left out, and of those that serve again.
    pub observer: Option<Observer>,
    /// How long an endpoint that joins others takes to reach its full share; zero is no time.
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
pub struct Ejection {
    /// How many failures in a row it takes. Default 7.
    pub failures: u32,
    /// How long the first ejection lasts, up to half as long again at random. Each one that
    /// follows without recovery between them lasts twice as long. Default 1 s.
    pub min: Duration,
    /// The longest an ejection lasts, before that random half. Default 60 s.
    pub max: Duration,
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
