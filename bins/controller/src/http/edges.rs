use super::{
    ApiError, App,
    ask::{self, Asked, now},
    rows::edge_row,
};
use axum::{Json, Router, extract::State, routing::get};
use mesh_api::{EdgeRow, EdgesRequest, Namespaces, Question};
use mesh_control::stats::query::{EdgesQuery, edges};

pub(super) fn routes() -> Router<App> {
    Router::new().route(EdgesRequest::PATH, get(answer))
}

async fn answer(
    State(app): State<App>,
    Asked(request): Asked<EdgesRequest>,
) -> Result<Json<Vec<EdgeRow>>, ApiError> {
    let is_all = request.namespaces == Namespaces::All;
    let namespace = ask::namespaces(&app, request.namespaces);
    let query = EdgesQuery {
        kind: request.kind,
        namespace: (!is_all).then_some(namespace),
    };
    let edges = edges(&ask::store(&app), now(), &query);
    Ok(Json(edges.into_iter().map(edge_row).collect()))
}
