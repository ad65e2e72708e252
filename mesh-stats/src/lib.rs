#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod body;
mod count;
mod exchange;
mod held;
mod histogram;
mod layer;
#[cfg(feature = "prometheus")]
pub mod prometheus;
mod series;
mod slots;
mod snapshot;
mod table;

pub use self::{
    body::StatsBody,
    histogram::{BOUNDS_MS, Histogram},
    layer::{Counted, ResponseFuture, StatsLayer},
    snapshot::{Outcome, Retryable, RouteStats, Snapshot, Status, View},
};
pub use mesh_core::{Class, Fault, RetrySkipped, Route};

use self::{exchange::Level, table::Table};
use std::{fmt, sync::Arc};

/// Counters of one destination's routes. Clones share them.
#[derive(Clone, Default)]
pub struct Stats {
    table: Arc<Table>,
}

impl Stats {
    /// Largest number of routes. Later ones are counted as [`OTHER`](Self::OTHER). GitHub's API has
    /// 1,223.
    pub const MAX_ROUTES: usize = 4096;

    /// Largest number of [`Outcome`]s per route and view. Later ones keep their class and lose the
    /// rest.
    pub const MAX_OUTCOMES: usize = series::MAX_OUTCOMES;

    /// The name under which everything past a limit is counted.
    pub const OTHER: &'static str = "other";

    /// Counters that start at zero.
    pub fn new() -> Self {
        Self::default()
    }

    /// Counts original requests, by route: what the caller sees. It goes above the retries.
    pub fn effective(&self) -> StatsLayer {
        StatsLayer::new(self.table.clone(), Level::Effective)
    }

    /// Counts attempts, by route: what the service did. It goes below the retries, and keeps no
    /// latencies.
    pub fn actual(&self) -> StatsLayer {
        StatsLayer::new(self.table.clone(), Level::Actual)
    }

    /// Counts requests whatever their route: one endpoint's share, when each has `Stats` of its
    /// own. The route still decides how a response counts.
    pub fn endpoint(&self) -> StatsLayer {
        StatsLayer::new(self.table.clone(), Level::Endpoint)
    }

    /// Counts a failure of a request that may be retried: a retry, or the reason why not.
    pub fn retryable<'a>(
        &self,
        route: impl Into<Option<&'a Route>>,
        skipped: Option<RetrySkipped>,
    ) {
        self.table.entry(route.into()).retryable(skipped);
    }

    /// The counts at this moment. Requests in flight show in some of them and not in others.
    pub fn snapshot(&self) -> Snapshot {
        self.table.snapshot()
    }
}

impl fmt::Debug for Stats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stats").finish_non_exhaustive()
    }
}
