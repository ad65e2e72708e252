use super::{App, api::Version};
use axum::{Json, Router, extract::State, routing::get};

pub(super) fn routes() -> Router<App> {
    Router::new().route("/api/v1/version", get(version))
}

async fn version(State(app): State<App>) -> Json<Version> {
    let mut version = Version::clone(&app.about);
    version.namespace = app.index.lock().default_namespace().into();
    Json(version)
}
