use super::{
    ApiError, App,
    ask::{self, Asked, now},
    rows::route_table,
};
use axum::{Json, Router, extract::State, routing::get};
use mesh_api::{Question, RouteTable, RoutesRequest};
use mesh_control::stats::{Topology, query};

pub(super) fn routes() -> Router<App> {
    Router::new().route(RoutesRequest::PATH, get(answer))
}

async fn answer(
    State(app): State<App>,
    Asked(request): Asked<RoutesRequest>,
) -> Result<Json<Vec<RouteTable>>, ApiError> {
    let namespace = ask::namespace(&app, request.namespace);
    let query = query::RoutesQuery {
        resource: request.resource,
        to: request.to.map(|to| ask::peer(&to, &namespace)),
        namespace,
        window: request.window.length(),
    };
    let topology = Topology::new(&app.index.snapshot());
    let routes = query::routes(&ask::store(&app), &topology, now(), &query)?;
    Ok(Json(routes.into_iter().map(route_table).collect()))
}
