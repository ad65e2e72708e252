use super::{ApiError, App};
use axum::{
    Json, Router,
    extract::{Path, State},
    http::StatusCode,
    routing::patch,
};
use mesh_api::WorkloadChange;
use mesh_control::model::WorkloadName;
use mesh_manifest::names::{check_namespace, check_subdomain};
use std::sync::Arc;

pub(super) fn routes() -> Router<App> {
    let path = format!("{}/{{namespace}}/{{name}}", WorkloadChange::PATH);
    Router::new().route(&path, patch(change))
}

/// Changes what runs of a workload.
async fn change(
    State(app): State<App>,
    Path((namespace, name)): Path<(String, String)>,
    Json(change): Json<WorkloadChange>,
) -> Result<Json<WorkloadChange>, ApiError> {
    if let Err(error) = check_namespace(&namespace) {
        return Err(ApiError::bad_request(format_args!(
            "namespace {namespace:?}: {error}"
        )));
    }
    let label = |what: &str, text: &str| {
        let checked = check_subdomain(text);
        checked.map_err(|error| ApiError::bad_request(format_args!("{what} {text:?}: {error}")))
    };
    label("workload", &name)?;
    let (namespace, workload): (Arc<str>, _) = (namespace.into(), WorkloadName::deployment(name));
    if let Some(revision) = &change.revision {
        label("revision", revision)?;
        let set = app.fleet.set_revision(
            namespace.clone(),
            workload.clone(),
            revision.as_str().into(),
        );
        set.await.map_err(refused)?;
    }
    if !change.env.is_empty() {
        let set = app
            .fleet
            .set_env(namespace.clone(), workload.clone(), change.env.clone());
        set.await.map_err(refused)?;
    }
    if let Some(replicas) = change.replicas {
        let scale = app.fleet.scale(namespace, workload, replicas);
        scale.await.map_err(refused)?;
    }
    Ok(Json(change))
}

fn refused(error: mesh_control::source::BoxError) -> ApiError {
    let reason = format!("{:#}", anyhow::anyhow!(error));
    ApiError::new(StatusCode::UNPROCESSABLE_ENTITY, reason)
}
