use super::{
    ApiError, App,
    api::RouteTable,
    ask::{self, now, peer, resource, topology},
};
use crate::stats::query;
use axum::{
    Json, Router,
    extract::{Query, State},
    routing::get,
};
use serde::Deserialize;

pub(super) fn routes() -> Router<App> {
    Router::new().route("/api/v1/routes", get(answer))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Params {
    resource: String,
    namespace: Option<String>,
    to: Option<String>,
    to_namespace: Option<String>,
    window: Option<String>,
}

async fn answer(
    State(app): State<App>,
    Query(params): Query<Params>,
) -> Result<Json<Vec<RouteTable>>, ApiError> {
    let namespace = ask::namespace(&app, params.namespace);
    let query = query::RoutesQuery {
        resource: resource(&params.resource)?,
        to: peer(params.to.as_deref(), params.to_namespace, &namespace)?,
        namespace,
        window: ask::window(params.window.as_deref())?,
    };
    let topology = topology(&app.index.lock());
    Ok(Json(query::routes(
        &ask::store(&app),
        &topology,
        now(),
        &query,
    )?))
}
