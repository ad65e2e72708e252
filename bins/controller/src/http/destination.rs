use super::{
    ApiError, App,
    hint::hint,
    query::{self, Query},
};
use axum::{Json, Router, extract::State, routing::get};
use mesh_api::{DestinationRequest, Fault, Leaf, LeafEndpoint, ProfileRef, Question};
use mesh_control::{
    grpc::profile,
    index::Index,
    model::{Reference, Resource, ServiceName},
    stats::{Topology, query::check_exists},
};
use mesh_discover::{RouteRule, wire};
use mesh_profile::ProfileSpec;

pub(super) type Destination = mesh_api::Destination<ProfileSpec>;

pub(super) fn routes() -> Router<App> {
    Router::new().route(DestinationRequest::PATH, get(destination))
}

async fn destination(
    State(app): State<App>,
    Query(request): Query<DestinationRequest>,
) -> Result<Json<Destination>, ApiError> {
    answer(&app, request).map(Json)
}

/// Answers a question about a destination.
pub(super) fn answer(app: &App, request: DestinationRequest) -> Result<Destination, ApiError> {
    if request.authority.is_empty() {
        let reason = "name the authority: /api/v1/destination?authority=books:7002";
        return Err(ApiError::bad_request(reason));
    }
    let namespace = request.namespace.unwrap_or_default();
    let snapshot = app.index.snapshot();
    if let Some(from) = &request.from {
        let topology = Topology::new(&snapshot);
        check_exists(&query::store(app), &topology, from, &namespace)?;
    }
    let faults = app.faults.list();
    let mut destination = describe(&app.index, &request.authority, &namespace);
    if let Some(service) = app.index.apex(&request.authority, &namespace).service {
        let is_meant = |fault: &Fault| {
            let from = (&fault.from, &request.from);
            *fault.service == *service.service
                && *fault.namespace == *service.namespace
                && !matches!(from, (Some(meant), Some(client)) if meant != client)
        };
        destination.faults = faults.into_iter().filter(is_meant).collect();
    }
    if destination.name.is_none() {
        destination.hint = hint(&snapshot, &request.authority, &namespace);
    }
    Ok(destination)
}

/// The destination that a sidecar in `namespace` builds from its answers for `authority`.
fn describe(index: &Index, authority: &str, namespace: &str) -> Destination {
    let apex = index.apex(authority, namespace);
    let service = apex.service.clone();
    let split_problems = service.map_or_else(Vec::new, |service| split_problems(index, &service));
    let reference = |key: Reference| ProfileRef {
        namespace: key.namespace.to_string(),
        name: key.name.to_string(),
    };
    let leaf = |name: String, weight| {
        let known = index.endpoints(&name, namespace);
        let endpoints = known.list.iter().map(|endpoint| LeafEndpoint {
            addr: endpoint.addr,
            labels: (*endpoint.labels).clone(),
        });
        Leaf {
            authority: name,
            weight,
            exists: known.exists,
            endpoints: endpoints.collect(),
        }
    };
    let message = profile(&apex, authority);
    let (destination, _) = wire::destination_from_wire(&message, authority);
    let shares = destination.rules().iter().flat_map(RouteRule::shares);
    let leaves = shares.map(|share| leaf(share.backend().to_string(), share.weight()));
    let leaves = leaves.collect();
    Destination {
        authority: authority.into(),
        name: destination.name().map(ToString::to_string),
        hint: None,
        profile: ProfileSpec::from(&*apex.profile),
        resource: apex.resource.map(reference),
        leaves,
        split: apex.split.map(|split| reference(split.resource)),
        split_problems,
        faults: Vec::new(),
        opaque: apex.opaque,
    }
}

/// The unmet conditions of the TrafficSplits of a service.
fn split_problems(index: &Index, service: &ServiceName) -> Vec<String> {
    let snapshot = index.snapshot();
    let splits = snapshot.resources.iter().filter(
        |resource| matches!(resource, Resource::TrafficSplit(split) if split.apex() == *service),
    );
    let problems = splits.flat_map(|split| {
        let reference = split.reference();
        let status = index.status(&reference);
        let unmet = status.unmet();
        let texts = unmet.map(|it| format!("{}: {}", reference.name, it.message));
        texts.collect::<Vec<_>>()
    });
    problems.collect()
}
