use super::App;
use axum::{Json, Router, extract::State, routing::get};
use mesh_api::{Question, Version, VersionRequest};

pub(super) fn routes() -> Router<App> {
    Router::new().route(VersionRequest::PATH, get(version))
}

async fn version(State(app): State<App>) -> Json<Version> {
    let mut version = Version::clone(&app.about);
    version.namespace = app.index.default_namespace().to_string();
    Json(version)
}
