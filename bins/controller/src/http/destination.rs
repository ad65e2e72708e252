use super::{
    ApiError, App,
    hint::hint,
    query::{self, Query},
};
use axum::{Json, Router, extract::State, routing::get};
use mesh_api::{DestinationRequest, Leaf, LeafEndpoint, ProfileRef, Question};
use mesh_control::{
    grpc::profile,
    index::Index,
    stats::{Topology, query::check_exists},
};
use mesh_discover::{RouteRule, wire};
use mesh_profile::ProfileSpec;

type Destination = mesh_api::Destination<ProfileSpec>;

pub(super) fn routes() -> Router<App> {
    Router::new().route(DestinationRequest::PATH, get(destination))
}

async fn destination(
    State(app): State<App>,
    Query(request): Query<DestinationRequest>,
) -> Result<Json<Destination>, ApiError> {
    if request.authority.is_empty() {
        let reason = "name the authority: /api/v1/destination?authority=books:7002";
        return Err(ApiError::bad_request(reason));
    }
    let namespace = request.namespace.unwrap_or_default();
    let snapshot = app.index.snapshot();
    if let Some(from) = &request.from {
        let topology = Topology::new(&snapshot);
        check_exists(&query::store(&app), &topology, from, &namespace)?;
    }
    let mut destination = describe(&app.index, &request.authority, &namespace);
    if destination.name.is_none() {
        destination.hint = hint(&snapshot, &request.authority, &namespace);
    }
    Ok(Json(destination))
}

/// The destination that a sidecar in `namespace` builds from its answers for `authority`.
fn describe(index: &Index, authority: &str, namespace: &str) -> Destination {
    let apex = index.apex(authority, namespace);
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
        resource: apex.resource.map(|key| ProfileRef {
            namespace: key.namespace.to_string(),
            name: key.name.to_string(),
        }),
        leaves,
        opaque: apex.opaque,
    }
}
