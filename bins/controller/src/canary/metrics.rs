//! Metrics of a Canary: built in, from the sidecars' counters, or from Prometheus.

use super::{http::HttpClient, observe::PRIMARY, prometheus};
use mesh_api::{Kind, Resource};
use mesh_canary::{Failure, Measured, Metric, MetricSource, Plan, Value, sequential::Counts};
use mesh_control::{
    index::Index,
    stats::{
        Direction, Family, Outcome, Span, Store, Topology,
        query::{ResourceTraffic, StatQuery, stat},
    },
};
use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

/// Reads metrics for all Canaries.
#[derive(Clone, Debug)]
pub(super) struct Metrics {
    pub(super) index: Index,
    pub(super) store: Arc<Mutex<Store>>,
    pub(super) client: HttpClient,
    /// Address of the Prometheus server, unless a Canary names another.
    pub(super) server: Option<String>,
}

impl Metrics {
    /// Measures every metric of a plan. The built-in ones look back to the beginning of the analysis at
    /// most, which has been `running` so long: an earlier canary had the same name.
    pub(super) async fn measure(
        &self,
        plan: &Plan,
        server: Option<&str>,
        running: Duration,
        now: Instant,
    ) -> Measured {
        let mut measured = Measured::default();
        for metric in &plan.metrics {
            let value = match &metric.source {
                MetricSource::SuccessRate | MetricSource::Duration => {
                    let traffic = self.traffic(plan, metric.interval.min(running), now);
                    let total = traffic.as_ref().map_or(0, |it| it.responses.total());
                    measured.requests = Some(measured.requests.unwrap_or_default().max(total));
                    Ok(built_in(metric, traffic.as_ref()))
                }
                MetricSource::Query(query) => self.query(plan, server, query).await,
                source => Err(Failure(format!("{source:?} is not supported"))),
            };
            measured.values.push(value);
        }
        if measured.requests.is_none() && !plan.metrics.is_empty() {
            let traffic = self.traffic(plan, plan.interval.min(running), now);
            measured.requests = Some(traffic.map_or(0, |it| it.responses.total()));
        }
        measured
    }

    async fn query(
        &self,
        plan: &Plan,
        server: Option<&str>,
        query: &str,
    ) -> Result<Value, Failure> {
        let Some(server) = server.or(self.server.as_deref()) else {
            let reason =
                "no Prometheus is known: set spec.metricsServer, or start with --prometheus";
            return Err(Failure(reason.to_owned()));
        };
        let value = prometheus::query(&self.client, server, &plan.namespace, query).await;
        match value {
            Ok(value) => Ok(Value {
                value,
                samples: None,
            }),
            Err(error) => Err(Failure(format!("{error:#}"))),
        }
    }

    /// Requests that the canary's own sidecars got within `window`.
    fn traffic(&self, plan: &Plan, window: Duration, now: Instant) -> Option<ResourceTraffic> {
        let query = StatQuery {
            resources: vec![Resource {
                kind: Kind::Deployment,
                name: Some(plan.name.as_str().into()),
            }],
            namespace: Some(plan.namespace.clone()),
            to: None,
            from: None,
            window,
            unmeshed: true,
        };
        let topology = Topology::new(&self.index.snapshot());
        let store = self.store.lock().unwrap_or_else(PoisonError::into_inner);
        let tables = stat(&store, &topology, now, &query).ok()?;
        tables.into_iter().flat_map(|table| table.resources).next()
    }

    /// Counts the requests of both revisions since the end of `last`, and moves `last` to now.
    pub(super) fn count(&self, plan: &Plan, last: &mut Option<Span>, now: Instant) -> Counts {
        let store = self.store.lock().unwrap_or_else(PoisonError::into_inner);
        let latest = store.span(now, Duration::ZERO);
        let start = last.map_or(latest.end, |last| last.end);
        let span = Span {
            start,
            end: latest.end,
        };
        *last = Some(span);
        let primary = format!("{}{PRIMARY}", plan.name);
        let mut counts = Counts::default();
        store.increases(span, |increase| {
            if *increase.source.namespace != *plan.namespace {
                return;
            }
            let labels = increase.labels;
            let is_response = increase.family == Family::Responses;
            if !is_response || labels.direction != Direction::Inbound {
                return;
            }
            let Some(outcome) = labels.outcome else {
                return;
            };
            let (requests, failures) = match &*increase.source.deployment {
                name if name == plan.name => {
                    (&mut counts.canary_requests, &mut counts.canary_failures)
                }
                name if name == primary => {
                    (&mut counts.primary_requests, &mut counts.primary_failures)
                }
                _ => return,
            };
            *requests += increase.count;
            if outcome == Outcome::Failure {
                *failures += increase.count;
            }
        });
        counts
    }
}

fn built_in(metric: &Metric, traffic: Option<&ResourceTraffic>) -> Value {
    let Some(traffic) = traffic else {
        return Value::default();
    };
    let value = match metric.source {
        MetricSource::SuccessRate => traffic.responses.success().map(|share| share * 100.0),
        _ => traffic
            .latency
            .map(|latency| latency.p99.as_secs_f64() * 1_000.0),
    };
    Value {
        value,
        samples: Some(traffic.responses.total()),
    }
}
