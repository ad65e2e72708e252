use crate::Endpoint;
use mesh_core::TlsStatus;
use mesh_stats::{
    Stats,
    prometheus::{Exposition, Labels},
};
use std::{
    fmt,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    time::{SystemTime, UNIX_EPOCH},
};

/// Maximum number of destinations and endpoints with series of their own; later ones have none.
const MAX_SERIES: usize = 4096;

/// Request metrics of a program, with the metric names and labels of a sidecar.
///
/// Clones share their counters. [`Outbound`](super::Outbound) and [`Inbound`](super::Inbound)
/// count here for as long as they live.
#[derive(Clone)]
pub struct Metrics(Arc<Inner>);

struct Inner {
    started: SystemTime,
    series: Mutex<Vec<Arc<Series>>>,
}

/// The counters of one destination or endpoint.
pub(super) struct Series {
    of: Of,
    labels: Labels,
    /// The full name and port of the apex, once it is known.
    name: Mutex<Option<Arc<str>>>,
    stats: Stats,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Of {
    /// By route, of a destination elsewhere.
    Routes,
    /// All of it, of an endpoint elsewhere.
    Endpoint,
    /// Both, of what the program serves itself.
    Own,
}

impl Series {
    pub(super) fn stats(&self) -> &Stats {
        &self.stats
    }

    fn name(&self) -> Option<Arc<str>> {
        let known = self.name.lock().unwrap_or_else(PoisonError::into_inner);
        known.clone()
    }

    pub(super) fn set_name(&self, name: Option<&Arc<str>>) {
        if let Some(name) = name {
            let mut known = self.name.lock().unwrap_or_else(PoisonError::into_inner);
            *known = Some(name.clone());
        }
    }
}

impl Metrics {
    /// Nothing counted yet.
    pub fn new() -> Self {
        Self(Arc::new(Inner {
            started: SystemTime::now(),
            series: Mutex::default(),
        }))
    }

    /// All that was counted, in Prometheus' text format.
    pub fn render(&self) -> String {
        let mut out = Exposition::new();
        let started = self.0.started.duration_since(UNIX_EPOCH);
        out.gauge(
            "process_start_time_seconds",
            "When counting began, in seconds since the epoch.",
            &Labels::new(),
            started.unwrap_or_default().as_secs_f64(),
        );
        let mut all = self.0.series.lock().unwrap_or_else(PoisonError::into_inner);
        for series in all.iter() {
            let snapshot = series.stats.snapshot();
            if series.of != Of::Routes {
                out.endpoint(snapshot.endpoint(), &series.labels);
            }
            let name = series.name.lock().unwrap_or_else(PoisonError::into_inner);
            // A name that the mesh does not know has no routes.
            if series.of != Of::Endpoint
                && let Some(name) = &*name
            {
                out.routes(&snapshot, &series.labels.clone().with("dst", name));
            }
        }
        // What nobody holds any more has been shown to the end.
        all.retain(|series| Arc::strong_count(series) > 1);
        out.to_string()
    }

    pub(super) fn destination(&self) -> Arc<Series> {
        let labels = Labels::new().with("direction", "outbound");
        self.add(Of::Routes, labels)
    }

    pub(super) fn own(&self) -> Arc<Series> {
        let labels = Labels::new().with("direction", "inbound");
        self.add(Of::Own, labels)
    }

    /// The counters of an endpoint of `leaf`, for requests to the destination of `apex`.
    pub(super) fn endpoint(&self, apex: &Series, leaf: &str, endpoint: &Endpoint) -> Arc<Series> {
        let addr: SocketAddr = endpoint.addr;
        let tls = TlsStatus::plain(addr.ip());
        let mut labels = Labels::new()
            .with("direction", "outbound")
            .with("authority", leaf);
        if let Some(apex) = apex.name() {
            labels = labels.with("dst_apex", apex).with("dst_leaf", leaf);
        }
        let labels = labels
            .with("target_addr", addr)
            .with("tls", tls.as_str())
            .with("no_tls_reason", tls.no_tls_reason().unwrap_or_default())
            .with_prefixed("dst_", &*endpoint.labels);
        self.add(Of::Endpoint, labels)
    }

    fn add(&self, of: Of, labels: Labels) -> Arc<Series> {
        let new = Arc::new(Series {
            of,
            labels,
            name: Mutex::default(),
            stats: Stats::new(),
        });
        let mut all = self.0.series.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() >= MAX_SERIES {
            all.retain(|series| Arc::strong_count(series) > 1);
        }
        if all.len() < MAX_SERIES {
            all.push(new.clone());
        }
        new
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}
