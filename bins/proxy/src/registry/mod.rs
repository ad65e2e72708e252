mod render;

use crate::{config::Limits, http::outbound::shared_state::SharedStates, identity};
use mesh_balance::EndpointStatus;
use mesh_core::Direction;
use mesh_stats::{Stats, prometheus::Labels};
use mesh_transport::Meter;
use std::{
    collections::HashMap,
    fmt,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError, Weak},
    time::{Duration, SystemTime},
};
use tokio::time::Instant;

/// Every counter of the proxy, for `/metrics`.
///
/// Counters belong to one worker each and are added up when somebody asks. Whoever comes back
/// to a destination or an endpoint gets the counters it had, so that nothing counts twice and
/// nothing starts again from zero.
pub(crate) struct Registry {
    common: Labels,
    /// Destinations and endpoints whose counts are kept apart; what comes later counts together.
    max_series: usize,
    /// Time after which an unused series disappears from the output, as in Linkerd.
    retain_idle: Duration,
    started: SystemTime,
    entries: Mutex<Entries>,
}

#[derive(Default)]
struct Entries {
    series: HashMap<Key, Series>,
    /// TLS connections by direction and name of the server.
    names: Meters,
    /// Connections that are carried as bytes, by endpoint.
    bytes: Meters,
    meters: Vec<(Labels, Arc<Meter>)>,
    counters: Vec<Counter>,
    gauges: Vec<Counter>,
    /// The endpoints of leaves, by worker and authority.
    leaves: Vec<(usize, Arc<str>, Weak<Statuses>)>,
    /// The injected faults, of all workers together.
    faults: Option<Arc<SharedStates>>,
}

/// A counter that a worker keeps by itself.
pub(crate) struct Counter {
    pub(crate) name: &'static str,
    pub(crate) help: &'static str,
    pub(crate) read: Box<dyn Fn() -> u64 + Send>,
}

/// Reads the state of the endpoints of a leaf, as one worker sees them.
pub(crate) type Statuses = dyn Fn() -> Vec<EndpointStatus> + Send + Sync;

/// A worker, what its counters describe, and their labels as text.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Key {
    worker: usize,
    kind: Kind,
    labels: String,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Kind {
    Routes,
    Endpoint,
}

struct Series {
    labels: Labels,
    stats: Stats,
    held: Weak<()>,
    /// Since when nobody has held it.
    unused: Option<Instant>,
}

/// Meters by their labels as text.
type Meters = HashMap<String, Metered>;

/// The counters of connections that have the same labels.
struct Metered {
    labels: Labels,
    meter: Arc<Meter>,
    unused: Option<Instant>,
}

/// Counters in use.
#[derive(Clone, Debug)]
pub(crate) struct Held {
    pub(crate) stats: Stats,
    _lease: Arc<()>,
}

/// Which end of the proxy a connection is at.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Peer {
    /// It was accepted.
    Source,
    /// The proxy opened it.
    Destination,
}

impl Registry {
    pub(crate) fn new(labels: &[(String, String)], limits: &Limits) -> Self {
        Self {
            max_series: limits.series,
            retain_idle: limits.series_idle,
            common: Labels::new().with_prefixed("", labels.iter().map(|(key, value)| (key, value))),
            started: SystemTime::now(),
            entries: Mutex::default(),
        }
    }

    /// Counts by route of the destination `dst`, `fqdn:port` of the apex.
    pub(crate) fn routes(&self, worker: usize, direction: Direction, dst: &str) -> Held {
        self.adopt(worker, direction, dst, Stats::new())
    }

    /// The same, which begin with what was counted in `early`, before the name was known, unless there
    /// are such counts already.
    pub(crate) fn adopt(
        &self,
        worker: usize,
        direction: Direction,
        dst: &str,
        early: Stats,
    ) -> Held {
        let labels = self.labels(direction).with("dst", dst);
        self.hold(worker, Kind::Routes, labels, early)
    }

    /// Counts of one endpoint of the leaf `authority`, for requests to `apex`: `dst` are its labels,
    /// as discovery gave them.
    pub(crate) fn endpoint<'a>(
        &self,
        worker: usize,
        direction: Direction,
        apex: Option<&str>,
        authority: Option<&str>,
        endpoint: SocketAddr,
        dst: impl IntoIterator<Item = (&'a String, &'a String)>,
    ) -> Held {
        let mut labels = self.labels(direction);
        if let Some(authority) = authority {
            labels = labels.with("authority", authority);
        }
        if let (Some(apex), Some(leaf)) = (apex, authority) {
            labels = labels.with("dst_apex", apex).with("dst_leaf", leaf);
        }
        let labels = of_endpoint(labels, endpoint, dst);
        self.hold(worker, Kind::Endpoint, labels, Stats::new())
    }

    /// A meter for the connections to one endpoint that are carried as bytes: `dst` are its labels,
    /// as discovery gave them.
    pub(crate) fn bytes<'a>(
        &self,
        authority: &str,
        endpoint: SocketAddr,
        dst: impl IntoIterator<Item = (&'a String, &'a String)>,
    ) -> Arc<Meter> {
        let labels = self.labels(Direction::Outbound).with("peer", "dst");
        let labels_of = |authority| labels.clone().with("authority", authority);
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        let endpoint = of_endpoint(labels_of(authority), endpoint, dst);
        self.meter_of(&mut entries.bytes, endpoint, || labels_of(Stats::OTHER))
    }

    fn hold(&self, worker: usize, kind: Kind, labels: Labels, new: Stats) -> Held {
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        let mut key = Key {
            worker,
            kind,
            labels: labels.to_string(),
        };
        let mut labels = labels;
        if entries.series.len() >= self.max_series && !entries.series.contains_key(&key) {
            labels = self.common.clone().with("authority", Stats::OTHER);
            key.labels = labels.to_string();
        }
        let series = entries.series.entry(key).or_insert_with(|| Series {
            labels,
            stats: new,
            held: Weak::new(),
            unused: None,
        });
        let lease = series.held.upgrade().unwrap_or_default();
        series.held = Arc::downgrade(&lease);
        series.unused = None;
        Held {
            stats: series.stats.clone(),
            _lease: lease,
        }
    }

    /// A meter for the connections of one worker, direction and side.
    pub(crate) fn meter(&self, direction: Direction, peer: Peer) -> Arc<Meter> {
        let meter = Arc::new(Meter::default());
        let peer = match peer {
            Peer::Source => "src",
            Peer::Destination => "dst",
        };
        let labels = self.labels(direction).with("peer", peer);
        let labels = identity::with_labels(labels, identity::status_of_all());
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        entries.meters.push((labels, meter.clone()));
        meter
    }

    /// A meter for TLS connections to the server called `name`; empty if the client does not say.
    pub(crate) fn tls(&self, direction: Direction, name: &str) -> Arc<Meter> {
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        // Clients choose these names.
        let labels = |name| self.labels(direction).with("sni", name);
        self.meter_of(&mut entries.names, labels(name), || labels(Stats::OTHER))
    }

    /// The meter of what has these `labels`; that of all `others` when there are too many.
    fn meter_of(
        &self,
        meters: &mut Meters,
        mut labels: Labels,
        others: impl FnOnce() -> Labels,
    ) -> Arc<Meter> {
        if meters.len() >= self.max_series && !meters.contains_key(&labels.to_string()) {
            labels = others();
        }
        let metered = meters.entry(labels.to_string());
        let metered = metered.or_insert_with(|| Metered {
            labels,
            meter: Arc::default(),
            unused: None,
        });
        metered.unused = None;
        metered.meter.clone()
    }

    /// Adds a counter of one worker's; those of the same name add up.
    pub(crate) fn counter(&self, counter: Counter) {
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        entries.counters.push(counter);
    }

    /// Adds a number that also falls, of the proxy as a whole.
    pub(crate) fn gauge(&self, gauge: Counter) {
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        entries.gauges.push(gauge);
    }

    /// Shows the requests to the destinations of `states` that faults are injected into.
    pub(crate) fn faults(&self, states: Arc<SharedStates>) {
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        entries.faults = Some(states);
    }

    /// Shows which endpoints of the leaf `authority` a worker leaves out, as long as `read` is held.
    /// It may have several: for requests, for bytes, and for each service that is split.
    pub(crate) fn leaf(&self, worker: usize, authority: &Arc<str>, read: &Arc<Statuses>) {
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        entries.leaves.retain(|(.., read)| read.strong_count() > 0);
        entries
            .leaves
            .push((worker, authority.clone(), Arc::downgrade(read)));
    }

    /// Number of series.
    #[cfg(test)]
    pub(crate) fn kept(&self) -> usize {
        let entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        entries.series.len()
    }

    /// The workload's labels, as a scrape would add them, and the direction.
    fn labels(&self, direction: Direction) -> Labels {
        self.common.clone().with("direction", direction)
    }
}

/// Adds what is known of an endpoint.
fn of_endpoint<'a>(
    labels: Labels,
    endpoint: SocketAddr,
    dst: impl IntoIterator<Item = (&'a String, &'a String)>,
) -> Labels {
    let labels = labels
        .with("target_addr", endpoint)
        .with("target_ip", endpoint.ip())
        .with("target_port", endpoint.port());
    let labels = identity::with_labels(labels, identity::status(endpoint));
    labels.with_prefixed("dst_", dst)
}

impl Metered {
    fn is_fresh(&mut self, now: Instant, retain_idle: Duration) -> bool {
        let held = Arc::strong_count(&self.meter) > 1;
        is_fresh(held, &mut self.unused, now, retain_idle)
    }
}

impl Series {
    fn is_fresh(&mut self, now: Instant, retain_idle: Duration) -> bool {
        let held = self.held.strong_count() > 0;
        is_fresh(held, &mut self.unused, now, retain_idle)
    }
}

/// Returns true if the series is in use, or was within the last `retain`.
fn is_fresh(held: bool, unused: &mut Option<Instant>, now: Instant, retain: Duration) -> bool {
    if held {
        *unused = None;
        return true;
    }
    now.duration_since(*unused.get_or_insert(now)) < retain
}

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Registry").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
