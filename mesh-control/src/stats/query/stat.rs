//! `stat`: success rate, request rate and latency of resources.

use super::{
    Peer, QueryError, check_exists, label_of_destination, label_of_source,
    numbers::{Latency, ResourceTally, Responses, Tcp},
    splits,
};
use crate::stats::{Direction, Family, Increase, Span, Store, Topology};
use mesh_api::{Kind, Resource};
use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

/// A question about resources.
#[derive(Clone, Debug)]
pub struct StatQuery {
    /// About which.
    pub resources: Vec<Resource>,
    /// In which namespace; `None` for all.
    pub namespace: Option<String>,
    /// Only what they send to it.
    pub to: Option<Peer>,
    /// Only what they get from it.
    pub from: Option<Peer>,
    /// Over which time.
    pub window: Duration,
    /// Also what has no sidecar.
    pub unmeshed: bool,
}

impl StatQuery {
    pub(super) fn is_in_namespace(&self, namespace: &str) -> bool {
        self.namespace.as_deref().is_none_or(|own| own == namespace)
    }
}

/// Traffic of the resources of one kind.
#[derive(Clone, Debug, PartialEq)]
pub struct KindTraffic {
    /// The kind.
    pub kind: Kind,
    /// The resources, by namespace and name.
    pub resources: Vec<ResourceTraffic>,
}

/// Traffic of one resource.
#[derive(Clone, Debug, PartialEq)]
pub struct ResourceTraffic {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// The leaf of a TrafficSplit that this is the traffic of.
    pub leaf: Option<SplitLeaf>,
    /// Status of a pod: `Running`, `Pending` or `Terminating`.
    pub status: Option<&'static str>,
    /// Replicas, of what has replicas.
    pub meshed: Option<Meshed>,
    /// Its responses.
    pub responses: Responses,
    /// Their latency.
    pub latency: Option<Latency>,
    /// Its TCP connections, if any sidecar counted some.
    pub tcp: Option<Tcp>,
}

/// A leaf of a TrafficSplit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SplitLeaf {
    /// The service that clients call.
    pub apex: String,
    /// The service that gets a share of the requests.
    pub leaf: String,
    /// Its weight, as `900m`.
    pub weight: String,
}

/// Replicas with a sidecar, of all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Meshed {
    /// Replicas that have a sidecar, or need none.
    pub with_sidecar: usize,
    /// All replicas.
    pub all: usize,
}

/// Answers a question about resources: a table for each kind, by the kind's name.
pub fn stat(
    store: &Store,
    topology: &Topology,
    now: Instant,
    query: &StatQuery,
) -> Result<Vec<KindTraffic>, QueryError> {
    check(store, topology, query)?;
    let span = store.span(now, query.window);
    let kinds: BTreeSet<Kind> = query
        .resources
        .iter()
        .map(|resource| resource.kind)
        .collect();
    Ok(kinds
        .into_iter()
        .map(|kind| KindTraffic {
            kind,
            resources: match kind {
                Kind::TrafficSplit => splits::rows(store, topology, span, query),
                _ => rows(store, topology, span, query, kind),
            },
        })
        .collect())
}

fn check(store: &Store, topology: &Topology, query: &StatQuery) -> Result<(), QueryError> {
    let is_service = |resource: &Resource| resource.kind == Kind::Service;
    let from_service = query
        .from
        .as_ref()
        .is_some_and(|from| is_service(&from.resource));
    let is_split = |resource: &Resource| resource.kind == Kind::TrafficSplit;
    let mut peers = [&query.to, &query.from].into_iter().flatten();
    if peers.any(|peer| is_split(&peer.resource))
        || query.to.is_some() && query.resources.iter().any(is_split)
    {
        return Err(QueryError::Unsupported(
            "trafficsplit is not supported as a filter, or together with 'to'".to_owned(),
        ));
    }
    if from_service || query.to.is_some() && query.resources.iter().any(is_service) {
        return Err(QueryError::Unsupported(
            "service is not supported as a target on 'from' queries, or as a target with 'to' \
             queries"
                .to_owned(),
        ));
    }
    if let Some(namespace) = &query.namespace {
        for resource in &query.resources {
            check_exists(store, topology, resource, namespace)?;
        }
    }
    for peer in [&query.to, &query.from].into_iter().flatten() {
        check_exists(store, topology, &peer.resource, &peer.namespace)?;
    }
    Ok(())
}

/// Namespace and name of a row; a namespace's row has its name for both.
type Key = (String, String);

fn rows(
    store: &Store,
    topology: &Topology,
    span: Span,
    query: &StatQuery,
    kind: Kind,
) -> Vec<ResourceTraffic> {
    let mut rows = BTreeMap::new();
    // With a filter on the other side, only what there was of it is of interest.
    if query.to.is_none() && query.from.is_none() {
        rows = known(topology, kind, query.unmeshed);
    } else {
        for (key, row) in known(topology, kind, true) {
            rows.insert(
                key,
                Row {
                    is_quiet: true,
                    ..row
                },
            );
        }
    }
    let mut add = |increase: &Increase<'_>| {
        if let Some((namespace, name)) = key(query, kind, increase) {
            let key = (namespace.to_owned(), name.to_owned());
            if let Some(row) = rows.get_mut(&key) {
                row.tally.add(increase);
            } else if is_listed(query, kind, increase, name) {
                rows.entry(key)
                    .or_insert(Row::default())
                    .tally
                    .add(increase);
            }
        }
    };
    store.increases(span, &mut add);
    store.gauges(span, &mut add);
    rows.into_iter()
        .filter(|(_, row)| !row.is_quiet || !row.tally.is_empty())
        .filter(|((namespace, name), _)| {
            (kind == Kind::Namespace || query.is_in_namespace(namespace))
                && query
                    .resources
                    .iter()
                    .any(|resource| resource.kind == kind && resource.includes(name))
        })
        .map(|(key, row)| row.numbers(key, span))
        .collect()
}

#[derive(Default)]
struct Row {
    status: Option<&'static str>,
    meshed: Option<Meshed>,
    /// The row is left out if it has no traffic.
    is_quiet: bool,
    tally: ResourceTally,
}

impl Row {
    fn numbers(self, (namespace, name): Key, span: Span) -> ResourceTraffic {
        ResourceTraffic {
            namespace,
            name,
            leaf: None,
            status: self.status,
            meshed: self.meshed,
            responses: self.tally.responses.responses(span.end),
            latency: self.tally.responses.latency(),
            tcp: self.tally.tcp(span.end),
        }
    }
}

/// The resources of `kind` there are.
fn known(topology: &Topology, kind: Kind, unmeshed: bool) -> BTreeMap<Key, Row> {
    let mut rows: BTreeMap<Key, Row> = BTreeMap::new();
    if kind == Kind::Service {
        for service in &topology.services {
            let key = (service.namespace.to_string(), service.name.to_string());
            rows.insert(key, Row::default());
        }
    }
    for workload in &topology.workloads {
        for pod in &workload.pods {
            let (name, status) = match kind {
                Kind::Deployment => (&workload.name, None),
                Kind::Pod => (&pod.name, Some(pod.status)),
                Kind::Namespace => (&workload.namespace, None),
                _ => continue,
            };
            let key = (workload.namespace.to_string(), name.to_string());
            let row = rows.entry(key).or_default();
            row.status = status;
            let replicas = row.meshed.get_or_insert_default();
            replicas.with_sidecar += usize::from(pod.is_meshed);
            replicas.all += 1;
        }
    }
    rows.retain(|_, row| unmeshed || row.meshed.is_none_or(|replicas| replicas.with_sidecar > 0));
    rows
}

/// Which row an increase belongs to.
fn key<'a>(query: &StatQuery, kind: Kind, increase: &Increase<'a>) -> Option<(&'a str, &'a str)> {
    let source = increase.source;
    let from_it = || label_of_source(kind, source).map(|name| (&*source.namespace, name));
    let is_tcp = matches!(
        increase.family,
        Family::TcpOpen | Family::TcpRead | Family::TcpWritten
    );
    let labels = increase.labels;
    if labels.direction == Direction::Inbound {
        // Of a connection that goes through a sidecar, the side that others opened is counted.
        let counts = query.to.is_none() && query.from.is_none() && (!is_tcp || labels.is_accepted);
        return from_it().filter(|_| counts);
    }
    if is_tcp && labels.is_accepted {
        return None;
    }
    match (&query.to, &query.from) {
        (Some(to), _) => from_it().filter(|_| to.is_destination(increase)),
        (None, Some(from)) if !from.is_source(source) => None,
        (None, from) => match kind {
            Kind::Authority => Some((&source.namespace, labels.authority.as_deref()?)),
            // What discovery does not know has no service; its authority stands for it.
            Kind::Service if query.unmeshed && labels.dst_service.is_none() => {
                Some((&source.namespace, labels.authority.as_deref()?))
            }
            Kind::Service => label_of_destination(kind, increase),
            _ if from.is_some() => label_of_destination(kind, increase),
            _ => None,
        },
    }
}

/// Returns true if a row is shown although it is not of a known resource.
fn is_listed(query: &StatQuery, kind: Kind, increase: &Increase<'_>, name: &str) -> bool {
    match kind {
        Kind::Authority => true,
        Kind::Service => query.unmeshed && increase.labels.dst_service.is_none(),
        // The gateway, or a replica that is gone: by name only.
        _ => query
            .resources
            .iter()
            .any(|resource| resource.kind == kind && resource.name.as_deref() == Some(name)),
    }
}
