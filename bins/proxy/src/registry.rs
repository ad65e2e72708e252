use crate::{
    config::Limits,
    transport::{Meter, Reading},
};
use mesh_balance::EndpointStatus;
use mesh_core::Direction;
use mesh_profile::stats::{
    Stats,
    prometheus::{Exposition, Labels},
};
use std::{
    collections::{BTreeMap, HashMap},
    fmt,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError, Weak},
    time::{Duration, SystemTime, UNIX_EPOCH},
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
    /// What nobody uses any more disappears from the output after this long, as in Linkerd.
    retain_idle: Duration,
    started: SystemTime,
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    series: HashMap<Key, Series>,
    /// TLS connections by direction and name of the server.
    names: HashMap<String, Named>,
    meters: Vec<(Labels, Arc<Meter>)>,
    counters: Vec<Counter>,
    gauges: Vec<Counter>,
    /// The endpoints of leaves, by authority.
    leaves: Vec<(Arc<str>, Weak<Statuses>)>,
}

/// A counter that a worker keeps by itself.
pub(crate) struct Counter {
    pub(crate) name: &'static str,
    pub(crate) help: &'static str,
    pub(crate) read: Box<dyn Fn() -> u64 + Send>,
}

/// How the endpoints of a leaf are doing for one worker.
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

/// What TLS connections to one name carried.
struct Named {
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
            known: Mutex::default(),
        }
    }

    /// Counts by route of the destination `dst`, `fqdn:port` of the apex.
    pub(crate) fn routes(&self, worker: usize, direction: Direction, dst: &str) -> Held {
        let labels = self.labels(direction).with("dst", dst);
        self.hold(worker, Kind::Routes, labels)
    }

    /// Counts of one endpoint: `dst` are its labels, as discovery gave them.
    pub(crate) fn endpoint<'a>(
        &self,
        worker: usize,
        direction: Direction,
        authority: Option<&str>,
        endpoint: SocketAddr,
        dst: impl IntoIterator<Item = (&'a String, &'a String)>,
    ) -> Held {
        let mut labels = self.labels(direction);
        if let Some(authority) = authority {
            labels = labels.with("authority", authority);
        }
        let reason = if endpoint.ip().is_loopback() {
            "loopback"
        } else {
            "not_provided_by_service_discovery"
        };
        let labels = labels
            .with("target_addr", endpoint)
            .with("target_ip", endpoint.ip())
            .with("target_port", endpoint.port())
            .with("tls", "no_identity")
            .with("no_tls_reason", reason)
            .with_prefixed("dst_", dst);
        self.hold(worker, Kind::Endpoint, labels)
    }

    fn hold(&self, worker: usize, kind: Kind, labels: Labels) -> Held {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let mut key = Key {
            worker,
            kind,
            labels: labels.to_string(),
        };
        let mut labels = labels;
        if known.series.len() >= self.max_series && !known.series.contains_key(&key) {
            labels = self.common.clone().with("authority", Stats::OTHER);
            key.labels = labels.to_string();
        }
        let series = known.series.entry(key).or_insert_with(|| Series {
            labels,
            stats: Stats::new(),
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
        let labels = self
            .labels(direction)
            .with("peer", peer)
            .with("tls", "no_identity")
            .with("no_tls_reason", "loopback");
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.meters.push((labels, meter.clone()));
        meter
    }

    /// A meter for TLS connections to the server called `name`; empty if the client does not say.
    pub(crate) fn tls(&self, direction: Direction, name: &str) -> Arc<Meter> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let labels = |name| self.labels(direction).with("sni", name);
        let mut labelled = labels(name);
        if known.names.len() >= self.max_series && !known.names.contains_key(&labelled.to_string())
        {
            // Clients choose these names.
            labelled = labels(Stats::OTHER);
        }
        let named = known.names.entry(labelled.to_string());
        let named = named.or_insert_with(|| Named {
            labels: labelled,
            meter: Arc::default(),
            unused: None,
        });
        named.unused = None;
        named.meter.clone()
    }

    /// Adds a counter of one worker's; those of the same name add up.
    pub(crate) fn counter(&self, counter: Counter) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.counters.push(counter);
    }

    /// Adds a number that also falls, of the proxy as a whole.
    pub(crate) fn gauge(&self, gauge: Counter) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.gauges.push(gauge);
    }

    /// Shows which endpoints of the leaf `authority` are left out, as long as `read` is held.
    pub(crate) fn leaf(&self, authority: &Arc<str>, read: &Arc<Statuses>) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.leaves.retain(|(_, read)| read.strong_count() > 0);
        known.leaves.push((authority.clone(), Arc::downgrade(read)));
    }

    /// How many series there are.
    #[cfg(test)]
    pub(crate) fn kept(&self) -> usize {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.series.len()
    }

    /// Everything, as Prometheus reads it.
    pub(crate) fn render(&self, now: Instant) -> String {
        let mut out = Exposition::new();
        self.process(&mut out);
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known
            .series
            .retain(|_, series| series.is_fresh(now, self.retain_idle));
        for (key, series) in &known.series {
            let labels = &series.labels;
            let snapshot = series.stats.snapshot();
            match key.kind {
                Kind::Routes => out.routes(&snapshot, labels),
                Kind::Endpoint => out.endpoint(snapshot.endpoint(), labels),
            }
        }
        for (labels, meter) in &known.meters {
            connections(&mut out, TCP, labels, meter.read());
        }
        known.names.retain(|_, named| {
            let held = Arc::strong_count(&named.meter) > 1;
            is_fresh(held, &mut named.unused, now, self.retain_idle)
        });
        for Named { labels, meter, .. } in known.names.values() {
            connections(&mut out, TLS, labels, meter.read());
        }
        for counter in &known.counters {
            out.counter(counter.name, counter.help, &self.common, (counter.read)());
        }
        for ((authority, endpoint), workers) in ejected(&known.leaves) {
            let labels = self.labels(Direction::Outbound);
            let labels = labels.with("authority", authority);
            out.gauge(
                "endpoint_ejected",
                "Workers that leave the endpoint out because it failed too often in a row.",
                &labels.with("target_addr", endpoint),
                f64::from(workers),
            );
        }
        for gauge in &known.gauges {
            let value = (gauge.read)() as f64;
            out.gauge(gauge.name, gauge.help, &self.common, value);
        }
        out.to_string()
    }

    fn process(&self, out: &mut Exposition) {
        let started = self.started.duration_since(UNIX_EPOCH).unwrap_or_default();
        out.gauge(
            "process_start_time_seconds",
            "When the process began, in seconds since the epoch.",
            &self.common,
            (started.as_millis() as f64) / 1000.0,
        );
        if let Some(resident) = resident_memory() {
            out.gauge(
                "process_resident_memory_bytes",
                "Memory in use.",
                &self.common,
                resident as f64,
            );
        }
        let build = self
            .common
            .clone()
            .with("version", env!("CARGO_PKG_VERSION"));
        out.gauge("proxy_build_info", "What was built.", &build, 1.0);
    }

    /// The workload's labels, as a scrape would add them, and the direction.
    fn labels(&self, direction: Direction) -> Labels {
        self.common.clone().with("direction", direction)
    }
}

/// For how many workers which endpoints are left out.
fn ejected(leaves: &[(Arc<str>, Weak<Statuses>)]) -> BTreeMap<(Arc<str>, SocketAddr), u32> {
    let mut ejected = BTreeMap::new();
    for (authority, read) in leaves {
        let statuses = read.upgrade().map(|read| read());
        let statuses = statuses.into_iter().flatten();
        for status in statuses.filter(|status| status.ejected) {
            *ejected.entry((authority.clone(), status.addr)).or_default() += 1;
        }
    }
    ejected
}

impl Series {
    fn is_fresh(&mut self, now: Instant, retain_idle: Duration) -> bool {
        let held = self.held.strong_count() > 0;
        is_fresh(held, &mut self.unused, now, retain_idle)
    }
}

/// Whether somebody holds it, or did so not too long ago.
fn is_fresh(held: bool, unused: &mut Option<Instant>, now: Instant, retain: Duration) -> bool {
    if held {
        *unused = None;
        return true;
    }
    now.duration_since(*unused.get_or_insert(now)) < retain
}

/// Names of the families that count connections: opened, closed, open, read, written.
type Families = [&'static str; 5];

const TCP: Families = [
    "tcp_open_total",
    "tcp_close_total",
    "tcp_open_connections",
    "tcp_read_bytes_total",
    "tcp_write_bytes_total",
];

const TLS: Families = [
    "tls_open_total",
    "tls_close_total",
    "tls_open_connections",
    "tls_read_bytes_total",
    "tls_write_bytes_total",
];

fn connections(out: &mut Exposition, families: Families, labels: &Labels, meter: Reading) {
    let Reading {
        opened,
        closed,
        read,
        written,
    } = meter;
    if opened == 0 {
        return;
    }
    let [open_total, close_total, open, read_bytes, write_bytes] = families;
    out.counter(open_total, "Connections opened.", labels, opened);
    out.counter(close_total, "Connections closed.", labels, closed);
    let now = opened.saturating_sub(closed);
    out.gauge(open, "Connections open.", labels, now as f64);
    out.counter(read_bytes, "Bytes read.", labels, read);
    out.counter(write_bytes, "Bytes written.", labels, written);
}

fn resident_memory() -> Option<u64> {
    let statm = std::fs::read_to_string("/proc/self/statm").ok()?;
    let pages: u64 = statm.split(' ').nth(1)?.parse().ok()?;
    Some(pages * rustix::param::page_size() as u64)
}

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Registry").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn registry() -> Registry {
        let labels = [("pod".to_owned(), "web-0".to_owned())];
        let limits = Limits {
            series: 100,
            ..Limits::default()
        };
        Registry::new(&labels, &limits)
    }

    fn route(held: &Held) {
        held.stats.retryable(None, None);
    }

    fn retryable(registry: &Registry, now: Instant) -> Option<String> {
        let text = registry.render(now);
        let line = text
            .lines()
            .find(|line| line.starts_with("route_retryable_total"));
        line.map(str::to_owned)
    }

    #[test]
    fn workers_add_up_and_whoever_comes_back_goes_on_counting() {
        let registry = registry();
        let now = Instant::now();
        for worker in [0, 1, 0] {
            // Dropped each time, as when a destination is forgotten.
            route(&registry.routes(worker, Direction::Outbound, "books:7002"));
        }
        assert_eq!(
            retryable(&registry, now).unwrap(),
            r#"route_retryable_total{pod="web-0",direction="outbound",dst="books:7002"} 3"#
        );
    }

    #[test]
    fn what_nobody_uses_disappears_after_a_while() {
        let registry = registry();
        let now = Instant::now();
        let held = registry.routes(0, Direction::Outbound, "books:7002");
        route(&held);
        let later = |times: u32| now + (registry.retain_idle + Duration::from_secs(1)) * times;
        assert!(retryable(&registry, later(1)).is_some(), "still held");
        drop(held);
        assert!(
            retryable(&registry, later(2)).is_some(),
            "not yet idle for long"
        );
        assert!(retryable(&registry, later(3)).is_none());
    }

    #[test]
    fn names_of_tls_servers_disappear_as_well_and_are_bounded() {
        let registry = registry();
        let now = Instant::now();
        let lines = |now| registry.render(now).matches("\ntls_open_total{").count();
        let open = |name: &str| {
            let meter = registry.tls(Direction::Outbound, name);
            meter.open();
            meter
        };
        let held = open("a.example");
        drop(open("b.example"));
        assert_eq!(lines(now), 2);
        let later = now + registry.retain_idle * 2;
        assert_eq!(lines(later), 1);
        drop(held);
        assert_eq!(lines(later), 1, "not yet idle for long");
        assert_eq!(lines(later + registry.retain_idle), 0);
        for n in 0..registry.max_series + 10 {
            open(&format!("{n}.example"));
        }
        assert_eq!(lines(now), registry.max_series + 1);
    }

    #[test]
    fn past_the_bound_everything_counts_together() {
        let registry = registry();
        for n in 0..registry.max_series + 10 {
            registry.routes(0, Direction::Inbound, &n.to_string());
        }
        let known = registry.known.lock().unwrap();
        assert!(known.series.len() <= registry.max_series + 1);
    }
}
