use super::{
    ApiError, App,
    api::StatTable,
    ask::{self, now, peer, resource, topology},
};
use crate::stats::query::{StatQuery, stat};
use axum::{
    Json, Router,
    extract::{Query, State},
    routing::get,
};
use serde::Deserialize;

pub(super) fn routes() -> Router<App> {
    Router::new().route("/api/v1/stat", get(answer))
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Params {
    /// Separated by commas.
    resources: String,
    namespace: Option<String>,
    all_namespaces: bool,
    to: Option<String>,
    to_namespace: Option<String>,
    from: Option<String>,
    from_namespace: Option<String>,
    window: Option<String>,
    unmeshed: bool,
}

async fn answer(
    State(app): State<App>,
    Query(params): Query<Params>,
) -> Result<Json<Vec<StatTable>>, ApiError> {
    let resources = params.resources.split(',').map(resource);
    let namespace = ask::namespace(&app, params.namespace);
    let query = StatQuery {
        resources: resources.collect::<Result<_, _>>()?,
        to: peer(params.to.as_deref(), params.to_namespace, &namespace)?,
        from: peer(params.from.as_deref(), params.from_namespace, &namespace)?,
        namespace: (!params.all_namespaces).then_some(namespace),
        window: ask::window(params.window.as_deref())?,
        unmeshed: params.unmeshed,
    };
    let topology = topology(&app.index.lock());
    Ok(Json(stat(&ask::store(&app), &topology, now(), &query)?))
}
