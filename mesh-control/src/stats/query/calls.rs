//! `calls`: the traffic between each caller and each workload that it calls.

use super::{
    label_of_destination,
    numbers::{Latency, ResourceTally, Responses, Tcp},
};
use crate::stats::{Direction, Family, Increase, Store};
use mesh_api::Kind;
use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

/// Traffic from one workload to another, as the sidecar of the caller counts it.
#[derive(Clone, Debug, PartialEq)]
pub struct Call {
    /// Namespace of the caller.
    pub src_namespace: String,
    /// Name of the caller.
    pub src: String,
    /// Namespace of the workload that is called.
    pub dst_namespace: String,
    /// Name of the workload that is called.
    pub dst: String,
    /// Responses to the caller's attempts.
    pub responses: Responses,
    /// Their latency.
    pub latency: Option<Latency>,
    /// TCP connections of the caller, if its sidecar counted some.
    pub tcp: Option<Tcp>,
}

/// Returns the calls between workloads within `window`, by namespaces and names.
pub fn calls(store: &Store, now: Instant, window: Duration) -> Vec<Call> {
    let span = store.span(now, window);
    let mut tallies: BTreeMap<_, ResourceTally> = BTreeMap::new();
    let mut see = |increase: &Increase<'_>| {
        let labels = increase.labels;
        let is_tcp = matches!(
            increase.family,
            Family::TcpOpen | Family::TcpRead | Family::TcpWritten
        );
        if labels.direction != Direction::Outbound || is_tcp && labels.is_accepted {
            return;
        }
        if let Some((dst_namespace, dst)) = label_of_destination(Kind::Deployment, increase) {
            let source = increase.source;
            let key = (
                source.namespace.to_string(),
                source.deployment.to_string(),
                dst_namespace.to_owned(),
                dst.to_owned(),
            );
            tallies.entry(key).or_default().add(increase);
        }
    };
    store.increases(span, &mut see);
    store.gauges(span, &mut see);
    let calls = tallies.into_iter().filter(|(_, tally)| !tally.is_empty());
    let calls = calls.map(|((src_namespace, src, dst_namespace, dst), tally)| Call {
        src_namespace,
        src,
        dst_namespace,
        dst,
        responses: tally.responses.responses(span.end),
        latency: tally.responses.latency(),
        tcp: tally.tcp(span.end),
    });
    calls.collect()
}
