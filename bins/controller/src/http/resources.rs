use super::{ApiError, App, query::Query};
use crate::{
    admit::{self, Admitted},
    resource::{self, Key, Manifest},
};
use axum::{
    Json, Router,
    body::Bytes,
    extract::{DefaultBodyLimit, Path, State},
    http::StatusCode,
    routing::{get, put},
};
use mesh_api::{Applied, ApplyRequest, ManifestKind, ManifestList, Outcome, Rejection};
use mesh_control::{
    model::{self, Reference},
    source::BoxError,
};
use mesh_manifest::names::{check_namespace, check_subdomain};
use mesh_tap::har::iso8601;
use serde_json::Value;
use std::time::{Duration, UNIX_EPOCH};

/// The longest text of manifests in one request: what a folder of the largest manifests has.
const MAX_BODY: usize = 16 << 20;

pub(super) fn routes() -> Router<App> {
    let base = ManifestKind::PATH;
    Router::new()
        .route(base, put(apply))
        .route(&format!("{base}/{{kind}}"), get(list))
        .route(
            &format!("{base}/{{kind}}/{{namespace}}"),
            get(list_namespace),
        )
        .route(
            &format!("{base}/{{kind}}/{{namespace}}/{{name}}"),
            get(one).delete(delete),
        )
        .layer(DefaultBodyLimit::max(MAX_BODY))
}

async fn list(
    State(app): State<App>,
    Path(kind): Path<String>,
) -> Result<Json<ManifestList<Value>>, ApiError> {
    let kind = parse_kind(&kind)?;
    Ok(Json(select(&app, kind, |_| true)))
}

async fn list_namespace(
    State(app): State<App>,
    Path((kind, namespace)): Path<(String, String)>,
) -> Result<Json<ManifestList<Value>>, ApiError> {
    let kind = parse_kind(&kind)?;
    let is_there = |key: &Key| *key.namespace == *namespace;
    Ok(Json(select(&app, kind, is_there)))
}

async fn one(
    State(app): State<App>,
    Path(path): Path<(String, String, String)>,
) -> Result<Json<ManifestList<Value>>, ApiError> {
    let wanted = parse_key(&path)?;
    let list = select(&app, wanted.kind, |key| *key == wanted);
    // One that was never good is still worth showing: with the reason.
    if list.items.is_empty() && list.rejected.is_empty() {
        return Err(not_found(&wanted));
    }
    Ok(Json(list))
}

async fn apply(
    State(app): State<App>,
    Query(query): Query<ApplyRequest>,
    body: Bytes,
) -> Result<Json<Vec<Applied>>, ApiError> {
    let text = std::str::from_utf8(&body)
        .map_err(|error| ApiError::bad_request(format_args!("the text is not UTF-8: {error}")))?;
    let namespace = query.namespace.clone();
    let namespace = namespace.unwrap_or_else(|| app.index.default_namespace().to_string());
    let domain = app.index.domain();
    check_namespace(&namespace)
        .map_err(|error| ApiError::bad_request(format_args!("namespace {namespace:?}: {error}")))?;
    let source = query.source.as_deref().unwrap_or("manifest");
    let admitted = admit::read(text, source, &namespace, domain).map_err(ApiError::invalid)?;
    if admitted.is_empty() {
        return Err(ApiError::invalid(resource::Rejection::of(
            source,
            "there is no resource in it",
        )));
    }

    let resources = admitted.iter();
    let resources: Vec<_> = resources.map(|it| it.resource.clone().into()).collect();
    let references: Vec<_> = resources.iter().map(model::Resource::reference).collect();
    let outcomes = app.resources.put(resources).await.map_err(internal)?;
    let mut applied = Vec::with_capacity(admitted.len());
    let admitted = admitted.into_iter().zip(references);
    for ((admitted, reference), result) in admitted.zip(outcomes) {
        let Admitted {
            resource,
            mut warnings,
        } = admitted;
        let status = app.index.status(&reference);
        warnings.extend(status.unmet().map(|condition| condition.message.clone()));
        let kept = app.resources.set_status(reference, status);
        kept.await.map_err(internal)?;
        applied.push(Applied {
            resource: resource.key.to_string(),
            kind: resource.key.kind.to_string(),
            namespace: resource.key.namespace.to_string(),
            name: resource.key.name.to_string(),
            result: outcome(result),
            warnings,
        });
    }
    Ok(Json(applied))
}

async fn delete(
    State(app): State<App>,
    Path(path): Path<(String, String, String)>,
) -> Result<StatusCode, ApiError> {
    let key = parse_key(&path)?;
    let deleted = app.resources.delete(Reference::from(&key)).await;
    match deleted.map_err(internal)? {
        true => Ok(StatusCode::NO_CONTENT),
        false => Err(not_found(&key)),
    }
}

fn parse_kind(kind: &str) -> Result<ManifestKind, ApiError> {
    ManifestKind::parse(kind).map_err(ApiError::not_found)
}

/// Checked because names become files.
fn parse_key((kind, namespace, name): &(String, String, String)) -> Result<Key, ApiError> {
    let kind = parse_kind(kind)?;
    check_namespace(namespace)
        .map_err(|error| ApiError::bad_request(format_args!("namespace {namespace:?}: {error}")))?;
    check_subdomain(name)
        .map_err(|error| ApiError::bad_request(format_args!("name {name:?}: {error}")))?;
    Ok(Key::new(kind, namespace, name))
}

fn internal(error: BoxError) -> ApiError {
    ApiError::internal(&anyhow::anyhow!(error))
}

fn not_found(key: &Key) -> ApiError {
    ApiError::not_found(format_args!(
        "{key} not found in namespace {}",
        key.namespace
    ))
}

/// The selected resources that are in force, and the rejections of them. A rejected file whose
/// resource is unknown is always included.
fn select(app: &App, kind: ManifestKind, is_wanted: impl Fn(&Key) -> bool) -> ManifestList<Value> {
    let snapshot = app.index.snapshot();
    let manifests = snapshot.resources.iter().map(Manifest::from);
    let items = manifests
        .filter(|manifest| manifest.key.kind == kind && is_wanted(&manifest.key))
        .map(|manifest| {
            let status = app.resources.status(&Reference::from(&manifest.key));
            let mut json = manifest.to_json_with(&status);
            if kind == ManifestKind::Canary
                && let Some(status) = canary_status(app, &manifest.key)
            {
                json["status"] = status;
            }
            json
        });
    let rejected = app.index.rejections().into_iter().filter(|rejection| {
        let key = rejection.resource.as_ref();
        let key = key.and_then(|resource| Key::try_from(resource).ok());
        key.as_ref().is_none_or(&is_wanted)
    });
    ManifestList {
        items: items.collect(),
        rejected: rejected.map(rejection).collect(),
    }
}

/// Returns the `status` of a Canary with Flagger's fields.
fn canary_status(app: &App, key: &Key) -> Option<Value> {
    let mut rows = app.canaries.list().into_iter().map(|it| it.row());
    let row = rows.find(|row| row.namespace == *key.namespace && row.name == *key.name)?;
    Some(serde_json::json!({
        "phase": row.phase,
        "canaryWeight": row.weight,
        "failedChecks": row.failed_checks,
        "iterations": row.iterations,
        "lastTransitionTime": iso8601(UNIX_EPOCH + Duration::from_millis(row.last_transition)),
    }))
}

fn outcome(outcome: resource::Outcome) -> Outcome {
    match outcome {
        resource::Outcome::Created => Outcome::Created,
        resource::Outcome::Configured => Outcome::Configured,
        resource::Outcome::Unchanged => Outcome::Unchanged,
    }
}

fn rejection(rejection: model::Rejection) -> Rejection {
    Rejection {
        source: rejection.source,
        line: rejection.line,
        column: rejection.column,
        reason: rejection.reason,
    }
}
