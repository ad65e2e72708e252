use super::{ApiError, App, query::Query};
use axum::{
    Json, Router,
    extract::{Path, State},
    routing::{get, post},
};
use mesh_api::{
    CanariesRequest, CanaryCommand, CanaryCommanded, CanaryDetail, CanaryRow, Question,
};
use mesh_canary::Event;

pub(super) fn routes() -> Router<App> {
    let base = CanariesRequest::PATH;
    Router::new()
        .route(base, get(list))
        .route(&format!("{base}/{{namespace}}/{{name}}"), get(one))
        .route(
            &format!("{base}/{{namespace}}/{{name}}/{{command}}"),
            post(command),
        )
}

async fn list(
    State(app): State<App>,
    Query(request): Query<CanariesRequest>,
) -> Json<Vec<CanaryRow>> {
    let rows = app.canaries.list().into_iter().map(|it| it.row());
    let rows = rows.filter(|row| {
        let namespace = request.namespace.as_deref();
        namespace.is_none_or(|namespace| namespace == row.namespace)
    });
    Json(rows.collect())
}

async fn one(
    State(app): State<App>,
    Path((namespace, name)): Path<(String, String)>,
) -> Result<Json<CanaryDetail>, ApiError> {
    let all = app.canaries.list().into_iter().map(|it| it.detail());
    let found = all.filter(|it| it.row.namespace == namespace && it.row.name == name);
    match found.last() {
        Some(detail) => Ok(Json(detail)),
        None => Err(not_found(&namespace, &name)),
    }
}

async fn command(
    State(app): State<App>,
    Path((namespace, name, command)): Path<(String, String, String)>,
) -> Result<Json<CanaryCommanded>, ApiError> {
    let known = CanaryCommand::ALL
        .into_iter()
        .find(|it| it.as_str() == command);
    let event = match known {
        Some(CanaryCommand::Promote) => Event::Promote,
        Some(CanaryCommand::Abort) => Event::Abort,
        Some(CanaryCommand::Pause) => Event::Pause,
        Some(CanaryCommand::Resume) => Event::Resume,
        None => {
            let known = CanaryCommand::ALL.map(CanaryCommand::as_str).join(", ");
            return Err(ApiError::not_found(format_args!(
                "there is no command {command:?}; known are {known}"
            )));
        }
    };
    match app.canaries.command(&namespace, &name, event).await {
        Some(events) => Ok(Json(CanaryCommanded { events })),
        None => Err(not_found(&namespace, &name)),
    }
}

fn not_found(namespace: &str, name: &str) -> ApiError {
    ApiError::not_found(format_args!(
        "canary {name} not found in namespace {namespace}"
    ))
}
