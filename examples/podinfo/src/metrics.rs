//! Counters and durations of requests, as Prometheus text.

use axum::{
    Router,
    extract::{Request, State},
    middleware::Next,
    response::Response,
    routing::get,
};
use std::{
    collections::BTreeMap,
    fmt::Write as _,
    sync::{Arc, Mutex, PoisonError},
};
use tokio::time::Instant;

/// Upper bounds of the buckets, in seconds.
const BOUNDS: [f64; 11] = [
    0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
];

/// Requests by status, and durations by method, path and status.
#[derive(Debug, Default)]
pub(crate) struct Metrics(Mutex<Inner>);

#[derive(Debug, Default)]
struct Inner {
    requests: BTreeMap<u16, u64>,
    durations: BTreeMap<(&'static str, &'static str, u16), Histogram>,
}

#[derive(Debug, Default)]
struct Histogram {
    counts: [u64; BOUNDS.len()],
    count: u64,
    sum: f64,
}

pub(crate) fn routes(metrics: Arc<Metrics>) -> Router {
    Router::new()
        .route("/metrics", get(render))
        .with_state(metrics)
}

/// First segments of the service's paths.
const PATHS: [&str; 15] = [
    "", "api", "version", "env", "headers", "configs", "echo", "token", "cache", "store", "status",
    "delay", "chunked", "healthz", "readyz",
];

/// Returns the label of a path: its first segment, so that the number of labels is bounded.
fn label(path: &str) -> &'static str {
    let first = path.split('/').nth(1).unwrap_or_default();
    let known = PATHS.into_iter().find(|known| *known == first);
    known.unwrap_or("other")
}

/// Counts the requests that pass.
pub(crate) async fn count(
    State(metrics): State<Arc<Metrics>>,
    request: Request,
    next: Next,
) -> Response {
    let path = label(request.uri().path());
    let known = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];
    let known = known.into_iter().find(|known| request.method() == *known);
    let method = known.unwrap_or("OTHER");
    let start = Instant::now();
    let response = next.run(request).await;
    let seconds = start.elapsed().as_secs_f64();
    let status = response.status().as_u16();
    let mut inner = metrics.0.lock().unwrap_or_else(PoisonError::into_inner);
    *inner.requests.entry(status).or_default() += 1;
    let histogram = inner.durations.entry((method, path, status)).or_default();
    histogram.count += 1;
    histogram.sum += seconds;
    for (bound, count) in BOUNDS.iter().zip(&mut histogram.counts) {
        *count += u64::from(seconds <= *bound);
    }
    response
}

async fn render(State(metrics): State<Arc<Metrics>>) -> String {
    let inner = metrics.0.lock().unwrap_or_else(PoisonError::into_inner);
    let mut text = String::from("# TYPE http_requests_total counter\n");
    for (status, count) in &inner.requests {
        let _ = writeln!(text, "http_requests_total{{status=\"{status}\"}} {count}");
    }
    let name = "http_request_duration_seconds";
    let _ = writeln!(text, "# TYPE {name} histogram");
    for ((method, path, status), histogram) in &inner.durations {
        let labels = format!("method=\"{method}\",path=\"/{path}\",status=\"{status}\"");
        for (bound, count) in BOUNDS.iter().zip(histogram.counts) {
            let _ = writeln!(text, "{name}_bucket{{{labels},le=\"{bound}\"}} {count}");
        }
        let Histogram { count, sum, .. } = histogram;
        let _ = writeln!(text, "{name}_bucket{{{labels},le=\"+Inf\"}} {count}");
        let _ = writeln!(text, "{name}_sum{{{labels}}} {sum}");
        let _ = writeln!(text, "{name}_count{{{labels}}} {count}");
    }
    text
}
