use super::{Kind, Metered, Registry, Statuses};
use mesh_core::Direction;
use mesh_stats::prometheus::{Exposition, Labels};
use mesh_transport::Reading;
use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    sync::{Arc, PoisonError, Weak},
    time::UNIX_EPOCH,
};
use tokio::time::Instant;

impl Registry {
    /// Everything, as Prometheus reads it.
    pub(crate) fn render(&self, now: Instant) -> String {
        let mut out = Exposition::new();
        self.process(&mut out);
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        entries
            .series
            .retain(|_, series| series.is_fresh(now, self.retain_idle));
        for (key, series) in &entries.series {
            let labels = &series.labels;
            let snapshot = series.stats.snapshot();
            match key.kind {
                Kind::Routes => out.routes(&snapshot, labels),
                Kind::Endpoint => out.endpoint(snapshot.endpoint(), labels),
            }
        }
        for (labels, meter) in &entries.meters {
            connections(&mut out, TCP, labels, meter.read());
        }
        let entries = &mut *entries;
        for (meters, families) in [(&mut entries.bytes, TCP), (&mut entries.names, TLS)] {
            meters.retain(|_, metered| metered.is_fresh(now, self.retain_idle));
            for Metered { labels, meter, .. } in meters.values() {
                connections(&mut out, families, labels, meter.read());
            }
        }
        for counter in &entries.counters {
            out.counter(counter.name, counter.help, &self.common, (counter.read)());
        }
        for ((authority, endpoint), workers) in ejected(&entries.leaves) {
            let labels = self.labels(Direction::Outbound);
            let labels = labels.with("authority", authority);
            out.gauge(
                "endpoint_ejected",
                "Workers that leave the endpoint out because it failed too often in a row.",
                &labels.with("target_addr", endpoint),
                workers as f64,
            );
        }
        let injected = entries.faults.as_ref().map(|states| states.injected());
        for (name, kind, count) in injected.into_iter().flatten() {
            let labels = self.labels(Direction::Outbound).with("dst", name);
            out.counter(
                "fault_injected_total",
                "Attempts that a fault was injected into on purpose.",
                &labels.with("fault", kind),
                count,
            );
        }
        for gauge in &entries.gauges {
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
}

/// The number of workers that leave an endpoint out, by leaf and address.
type Ejected = BTreeMap<(Arc<str>, SocketAddr), usize>;

fn ejected(leaves: &[(usize, Arc<str>, Weak<Statuses>)]) -> Ejected {
    let all = leaves.iter().flat_map(|(worker, authority, read)| {
        let statuses = read.upgrade().map(|read| read()).unwrap_or_default();
        let ejected = statuses.into_iter().filter(|status| status.ejected);
        ejected.map(|status| (*worker, authority.clone(), status.addr))
    });
    workers(all)
}

/// Counts each worker once, however many balancers of it leave an endpoint out.
fn workers(ejected: impl Iterator<Item = (usize, Arc<str>, SocketAddr)>) -> Ejected {
    let all: BTreeSet<_> = ejected
        .map(|(worker, authority, addr)| (authority, addr, worker))
        .collect();
    let mut workers = Ejected::new();
    for (authority, addr, _) in all {
        *workers.entry((authority, addr)).or_default() += 1;
    }
    workers
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_that_a_worker_leaves_out_for_requests_and_for_bytes_counts_once() {
        let books: Arc<str> = "books:7002".into();
        let addr = SocketAddr::from(([10, 0, 0, 1], 80));
        let all = [0, 0, 1].map(|worker| (worker, books.clone(), addr));
        assert_eq!(
            workers(all.into_iter()),
            Ejected::from([((books, addr), 2)])
        );
    }
}
