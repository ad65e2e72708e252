//! `routes`: how is each route doing?

use super::{
    Peer, QueryError, check_exists, label_of_source,
    numbers::{Latency, Responses, Tally},
};
use crate::stats::{Direction, Family, Service, Span, Store, Topology};
use mesh_api::{Kind, Resource};
use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

/// The route of requests that match none.
pub const DEFAULT_ROUTE: &str = "[DEFAULT]";

/// A question about routes.
#[derive(Clone, Debug)]
pub struct RoutesQuery {
    /// Whose routes: those it serves, or with `to` those it calls.
    pub resource: Resource,
    /// In which namespace.
    pub namespace: String,
    /// Whom it calls.
    pub to: Option<Peer>,
    /// Over which time.
    pub window: Duration,
}

/// Traffic of the routes of one resource.
#[derive(Clone, Debug, PartialEq)]
pub struct ResourceRoutes {
    /// The resource.
    pub resource: Resource,
    /// The routes, by service and name.
    pub routes: Vec<RouteTraffic>,
}

/// Traffic of one route.
#[derive(Clone, Debug, PartialEq)]
pub struct RouteTraffic {
    /// Its name, [`DEFAULT_ROUTE`] for requests that match none.
    pub route: String,
    /// Full name of its service.
    pub authority: String,
    /// Responses as callers see them, retries included.
    pub effective: Responses,
    /// Responses to single attempts.
    pub actual: Responses,
    /// Latency as callers see it.
    pub latency: Option<Latency>,
}

/// Answers a question about routes: a table for each resource, by its name.
pub fn routes(
    store: &Store,
    topology: &Topology,
    now: Instant,
    query: &RoutesQuery,
) -> Result<Vec<ResourceRoutes>, QueryError> {
    if query.to.is_some() && matches!(query.resource.kind, Kind::Service | Kind::Authority) {
        return Err(QueryError::Unsupported(format!(
            "The {} resource type is not supported with 'to' queries",
            query.resource.kind.name()
        )));
    }
    check_exists(store, topology, &query.resource, &query.namespace)?;
    if let Some(to) = &query.to {
        check_exists(store, topology, &to.resource, &to.namespace)?;
    }
    let span = store.span(now, query.window);
    let tables = names(topology, query).into_iter().map(|name| {
        let resource = Resource::named(query.resource.kind, name);
        let services = match &query.to {
            Some(to) => services(topology, &to.resource, &to.namespace),
            None => services(topology, &resource, &query.namespace),
        };
        if services.is_empty() && query.to.is_some() {
            return Err(QueryError::NotFound(
                "No Service Profiles found for selected resources".to_owned(),
            ));
        }
        Ok(ResourceRoutes {
            routes: rows(store, topology, span, query, &resource, &services),
            resource,
        })
    });
    tables.collect()
}

/// The names of the resources asked about.
fn names(topology: &Topology, query: &RoutesQuery) -> Vec<String> {
    if let Some(name) = &query.resource.name {
        return vec![name.clone()];
    }
    let here = |namespace: &str| namespace == query.namespace;
    let workloads = topology.workloads.iter().filter(|one| here(&one.namespace));
    let mut names: Vec<String> = match query.resource.kind {
        Kind::Deployment => workloads
            .map(|workload| workload.name.to_string())
            .collect(),
        Kind::Pod => workloads
            .flat_map(|workload| &workload.pods)
            .map(|pod| pod.name.to_string())
            .collect(),
        Kind::Namespace => vec![query.namespace.clone()],
        Kind::Service => {
            let services = topology.services.iter();
            let services = services.filter(|service| here(&service.namespace));
            services.map(|service| service.name.to_string()).collect()
        }
        _ => Vec::new(),
    };
    names.sort();
    names
}

/// The services by which `resource` is called.
fn services<'a>(topology: &'a Topology, resource: &Resource, namespace: &str) -> Vec<&'a Service> {
    let has_pod = |service: &Service| {
        let mut workloads = topology.workloads.iter();
        workloads.any(|one| {
            one.namespace == service.namespace
                && service.workloads.contains(&one.name)
                && one.pods.iter().any(|pod| resource.includes(&pod.name))
        })
    };
    let all = topology.services.iter();
    all.filter(|service| match resource.kind {
        Kind::Namespace => resource.includes(&service.namespace),
        _ if *service.namespace != *namespace => false,
        Kind::Service => resource.includes(&service.name),
        Kind::Deployment => service.workloads.iter().any(|name| resource.includes(name)),
        Kind::Pod => has_pod(service),
        _ => false,
    })
    .collect()
}

#[derive(Default)]
struct Row {
    effective: Tally,
    actual: Tally,
}

fn rows(
    store: &Store,
    topology: &Topology,
    span: Span,
    query: &RoutesQuery,
    resource: &Resource,
    services: &[&Service],
) -> Vec<RouteTraffic> {
    // Routes without traffic appear too. The short name comes first: it is what is shown.
    let mut rows: BTreeMap<(&str, String, &str), Row> = BTreeMap::new();
    let mut by_name = BTreeMap::new();
    for service in services {
        let fqdn = topology.fqdn(service);
        let declared = service.routes.iter().map(|route| &**route);
        for route in declared.chain([DEFAULT_ROUTE]) {
            rows.insert((&service.name, fqdn.clone(), route), Row::default());
        }
        by_name.insert(fqdn, &*service.name);
    }
    if services.is_empty() {
        // Nobody calls it by a name; still it has the one route that everything has.
        rows.insert(("", String::new(), DEFAULT_ROUTE), Row::default());
    }
    let direction = match query.to {
        Some(_) => Direction::Outbound,
        None => Direction::Inbound,
    };
    let mut traffic: BTreeMap<(&str, String, String), Row> = BTreeMap::new();
    store.increases(span, |increase| {
        let (labels, source) = (increase.labels, increase.source);
        let is_its_own = *source.namespace == *query.namespace
            && (resource.kind == Kind::Service
                || label_of_source(resource.kind, source)
                    .is_some_and(|name| resource.includes(name)));
        if !is_its_own || labels.direction != direction {
            return;
        }
        let host = labels.dst.as_deref().map(without_port);
        let Some((host, name)) = host.and_then(|host| by_name.get_key_value(host)) else {
            return;
        };
        let route = labels.route.as_deref().unwrap_or(DEFAULT_ROUTE);
        let key = (*name, host.clone(), route.to_owned());
        let row = traffic.entry(key).or_default();
        match increase.family {
            Family::RouteResponses => row.effective.add(increase),
            Family::ActualResponses => row.actual.add(increase),
            Family::RouteLatency => row.effective.add_latency(increase),
            _ => {}
        }
    });
    for ((name, fqdn, route), row) in rows {
        traffic.entry((name, fqdn, route.to_owned())).or_insert(row);
    }
    traffic
        .into_iter()
        .map(|((_, authority, route), row)| RouteTraffic {
            route,
            authority,
            effective: row.effective.responses(span.end),
            actual: row.actual.responses(span.end),
            latency: row.effective.latency(),
        })
        .collect()
}

fn without_port(authority: &str) -> &str {
    authority
        .rsplit_once(':')
        .filter(|(_, port)| port.bytes().all(|byte| byte.is_ascii_digit()))
        .map_or(authority, |(host, _)| host)
}
