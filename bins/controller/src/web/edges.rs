use super::{
    ApiError, App,
    api::EdgeRow,
    ask::{self, now, resource},
};
use crate::stats::query::{EdgesQuery, edges};
use axum::{
    Json, Router,
    extract::{Query, State},
    routing::get,
};
use serde::Deserialize;

pub(super) fn routes() -> Router<App> {
    Router::new().route("/api/v1/edges", get(answer))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Params {
    resource: String,
    namespace: Option<String>,
    #[serde(default)]
    all_namespaces: bool,
}

async fn answer(
    State(app): State<App>,
    Query(params): Query<Params>,
) -> Result<Json<Vec<EdgeRow>>, ApiError> {
    let namespace = ask::namespace(&app, params.namespace);
    let query = EdgesQuery {
        kind: resource(&params.resource)?.kind,
        namespace: (!params.all_namespaces).then_some(namespace),
    };
    Ok(Json(edges(&ask::store(&app), now(), &query)))
}
