use super::{
    ApiError, App,
    query::{self, Query, now},
    rows::stat_table,
};
use axum::{Json, Router, extract::State, routing::get};
use mesh_api::{Namespaces, Question, Side, StatRequest, StatTable};
use mesh_control::stats::{
    Topology,
    query::{StatQuery, stat},
};

pub(super) fn routes() -> Router<App> {
    Router::new().route(StatRequest::PATH, get(answer))
}

async fn answer(
    State(app): State<App>,
    Query(request): Query<StatRequest>,
) -> Result<Json<Vec<StatTable>>, ApiError> {
    tables(&app, request).map(Json)
}

/// Answers a question about the traffic of resources.
pub(super) fn tables(app: &App, request: StatRequest) -> Result<Vec<StatTable>, ApiError> {
    let is_all = request.namespaces == Namespaces::All;
    let namespace = query::namespaces(app, request.namespaces);
    let (to, from) = match request.side {
        Some(Side::To(to)) => (Some(query::peer(&to, &namespace)), None),
        Some(Side::From(from)) => (None, Some(query::peer(&from, &namespace))),
        None => (None, None),
    };
    let query = StatQuery {
        resources: request.resources,
        to,
        from,
        namespace: (!is_all).then_some(namespace),
        window: request.window.length(),
        unmeshed: request.unmeshed,
    };
    let topology = Topology::new(&app.index.snapshot());
    let traffic = stat(&query::store(app), &topology, now(), &query)?;
    Ok(traffic.into_iter().map(stat_table).collect())
}
