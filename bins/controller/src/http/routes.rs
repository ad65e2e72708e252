use super::{
    ApiError, App,
    query::{self, Query, now},
    rows::route_table,
};
use axum::{Json, Router, extract::State, routing::get};
use mesh_api::{Question, RouteTable, RoutesRequest};
use mesh_control::stats::{
    Topology,
    query::{RoutesQuery, routes as route_traffic},
};

pub(super) fn routes() -> Router<App> {
    Router::new().route(RoutesRequest::PATH, get(answer))
}

async fn answer(
    State(app): State<App>,
    Query(request): Query<RoutesRequest>,
) -> Result<Json<Vec<RouteTable>>, ApiError> {
    tables(&app, request).map(Json)
}

/// Answers a question about the traffic of routes.
pub(super) fn tables(app: &App, request: RoutesRequest) -> Result<Vec<RouteTable>, ApiError> {
    let namespace = query::namespace(app, request.namespace);
    let routes_query = RoutesQuery {
        resource: request.resource,
        to: request.to.map(|to| query::peer(&to, &namespace)),
        namespace,
        window: request.window.length(),
    };
    let topology = Topology::new(&app.index.snapshot());
    let routes = route_traffic(&query::store(app), &topology, now(), &routes_query)?;
    Ok(routes.into_iter().map(route_table).collect())
}
