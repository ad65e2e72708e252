use super::{
    Retryable, RouteStats, Snapshot, Stats, View,
    exchange::Level,
    held::{Held, PlaceHasher},
    series::Series,
    slots::Slots,
};
use mesh_core::{RetrySkipped, Route};
use std::{
    collections::HashMap,
    hash::BuildHasherDefault,
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

/// Counters by route.
///
/// A route is found by where it lives in memory, which is cheaper than its name; an update of a
/// profile makes new routes, whose counters are then those of the same name.
#[derive(Debug)]
pub(super) struct Table {
    /// No other table of the program has it, not even a later one.
    id: u64,
    known: Mutex<Known>,
    unrouted: Arc<Entry>,
    endpoint: Arc<OnceLock<Box<Series>>>,
}

#[derive(Debug, Default)]
struct Known {
    /// A cache of `by_name`, emptied when full.
    by_place: HashMap<usize, Arc<Entry>, BuildHasherDefault<PlaceHasher>>,
    by_name: HashMap<Arc<str>, Arc<Counters>>,
}

/// A route and where it is counted.
#[derive(Debug)]
pub(super) struct Entry {
    /// The table that has it.
    pub(super) table: u64,
    pub(super) place: usize,
    /// Kept alive so that no other route can come to live in its place.
    route: Option<Route>,
    counters: Arc<Counters>,
    endpoint: Arc<OnceLock<Box<Series>>>,
}

/// Counters under one name. Views are made at their first request, as most routes of a large
/// profile get none, and most destinations have no retries.
#[derive(Debug, Default)]
struct Counters {
    effective: OnceLock<Box<Series>>,
    actual: OnceLock<Box<Series>>,
    retried: AtomicU64,
    skipped: Slots<RetrySkipped, AtomicU64, 8>,
}

impl Table {
    /// The cache holds the routes of this many profiles at most, past ones included.
    const MAX_PLACES: usize = 2 * Stats::MAX_ROUTES;

    pub(super) fn entry(&self, route: Option<&Route>) -> Held {
        let Some(route) = route else {
            return Held::new(self.unrouted.clone());
        };
        // The address of a part that every clone of the route shares.
        let place = std::ptr::from_ref(route.timeouts()).addr();
        Held::find(self.id, place, || self.find(route, place))
    }

    #[cold]
    fn find(&self, route: &Route, place: usize) -> Arc<Entry> {
        let mut known = self.lock();
        if let Some(entry) = known.by_place.get(&place) {
            return entry.clone();
        }
        let entry = Arc::new(Entry {
            table: self.id,
            place,
            route: Some(route.clone()),
            counters: known.counters(route.name()),
            endpoint: self.endpoint.clone(),
        });
        if known.by_place.len() >= Self::MAX_PLACES {
            known.by_place.clear();
        }
        known.by_place.insert(place, entry.clone());
        entry
    }

    pub(super) fn snapshot(&self) -> Snapshot {
        let counters: Vec<_> = {
            let known = self.lock();
            let by_name = known.by_name.iter();
            by_name.map(|(n, c)| (n.clone(), c.clone())).collect()
        };
        Snapshot {
            routes: counters
                .into_iter()
                .map(|(name, counters)| (name, counters.snapshot()))
                .filter(|(_, stats)| *stats != RouteStats::default())
                .collect(),
            endpoint: view(&self.endpoint),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for Table {
    fn default() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let mut known = Known::default();
        let endpoint = Arc::<OnceLock<Box<Series>>>::default();
        let id = NEXT.fetch_add(1, Relaxed);
        let unrouted = Entry {
            table: id,
            place: 0,
            route: None,
            counters: known.counters(Route::DEFAULT_NAME),
            endpoint: endpoint.clone(),
        };
        Self {
            id,
            known: Mutex::new(known),
            unrouted: Arc::new(unrouted),
            endpoint,
        }
    }
}

impl Known {
    fn counters(&mut self, name: &str) -> Arc<Counters> {
        if let Some(counters) = self.by_name.get(name) {
            return counters.clone();
        }
        let name = if self.by_name.len() < Stats::MAX_ROUTES {
            name
        } else {
            Stats::OTHER
        };
        self.by_name.entry(name.into()).or_default().clone()
    }
}

impl Entry {
    pub(super) fn route(&self) -> Option<&Route> {
        self.route.as_ref()
    }

    pub(super) fn series(&self, level: Level) -> &Series {
        let series = match level {
            Level::Effective => &self.counters.effective,
            Level::Actual => &self.counters.actual,
            Level::Endpoint => &self.endpoint,
        };
        series.get_or_init(Box::default)
    }

    pub(super) fn retryable(&self, skipped: Option<RetrySkipped>) {
        let counter = match skipped {
            None => Some(&self.counters.retried),
            // There are fewer reasons than slots.
            Some(reason) => self.counters.skipped.get(reason),
        };
        if let Some(counter) = counter {
            counter.fetch_add(1, Relaxed);
        }
    }
}

impl Counters {
    fn snapshot(&self) -> RouteStats {
        let skipped = self.skipped.iter();
        RouteStats {
            effective: view(&self.effective),
            actual: view(&self.actual),
            retryable: Retryable {
                retried: self.retried.load(Relaxed),
                skipped: skipped
                    .map(|(why, n)| (why.as_str(), n.load(Relaxed)))
                    .collect(),
            },
        }
    }
}

fn view(series: &OnceLock<Box<Series>>) -> View {
    series
        .get()
        .map(|series| series.snapshot())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_updated_route_goes_on_counting_under_its_name() {
        let stats = Stats::new();
        for _ in 0..3 {
            stats.retryable(&Route::new("a"), None);
        }
        stats.retryable(&Route::new("a"), Some(RetrySkipped::NoBudget));
        stats.retryable(None, None);
        let snapshot = stats.snapshot();
        assert_eq!(snapshot["a"].retryable.retried, 3);
        assert_eq!(snapshot["a"].retryable.skipped(RetrySkipped::NoBudget), 1);
        assert_eq!(snapshot[Route::DEFAULT_NAME].retryable.retried, 1);
    }

    #[test]
    fn routes_past_the_limit_are_lumped_and_no_memory_is_kept_for_them() {
        let stats = Stats::new();
        for n in 0..3 * Stats::MAX_ROUTES {
            stats.retryable(&Route::new(format!("route {n}")), None);
        }
        let snapshot = stats.snapshot();
        let total: u64 = snapshot.routes().map(|(_, r)| r.retryable.retried).sum();
        assert_eq!(total, 3 * Stats::MAX_ROUTES as u64);
        assert!(snapshot[Stats::OTHER].retryable.retried > 0);
        assert!(snapshot.routes().count() <= Stats::MAX_ROUTES + 1);
        assert!(stats.table.lock().by_place.len() <= Table::MAX_PLACES);
    }
}
