use super::{
    ApiError, App,
    query::{self, Query, now},
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
    Query(request): Query<EdgesRequest>,
) -> Result<Json<Vec<EdgeRow>>, ApiError> {
    Ok(Json(rows(&app, request)))
}

/// Answers a question about callers and the resources that they call.
pub(super) fn rows(app: &App, request: EdgesRequest) -> Vec<EdgeRow> {
    let is_all = request.namespaces == Namespaces::All;
    let namespace = query::namespaces(app, request.namespaces);
    let query = EdgesQuery {
        kind: request.kind,
        namespace: (!is_all).then_some(namespace),
    };
    let edges = edges(&query::store(app), now(), &query);
    edges.into_iter().map(edge_row).collect()
}
