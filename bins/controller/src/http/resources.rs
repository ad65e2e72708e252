use super::{ApiError, App, ask::Asked};
use crate::{
    admit::{self, Admitted},
    index::Index,
    resource::{self, Key},
};
use axum::{
    Json, Router,
    body::Bytes,
    extract::{DefaultBodyLimit, Path, State},
    http::StatusCode,
    routing::{get, put},
};
use mesh_api::{Applied, ApplyRequest, ManifestKind, ManifestList, Outcome, Rejection};
use mesh_manifest::names::{check_namespace, check_subdomain};
use serde_json::Value;

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
    Ok(Json(select(&app.index.lock(), kind, |_| true)))
}

async fn list_namespace(
    State(app): State<App>,
    Path((kind, namespace)): Path<(String, String)>,
) -> Result<Json<ManifestList<Value>>, ApiError> {
    let kind = parse_kind(&kind)?;
    let is_there = |key: &Key| *key.namespace == *namespace;
    Ok(Json(select(&app.index.lock(), kind, is_there)))
}

async fn one(
    State(app): State<App>,
    Path(path): Path<(String, String, String)>,
) -> Result<Json<ManifestList<Value>>, ApiError> {
    let wanted = parse_key(&path)?;
    let list = select(&app.index.lock(), wanted.kind, |key| *key == wanted);
    // One that was never good is still worth showing: with the reason.
    if list.items.is_empty() && list.rejected.is_empty() {
        return Err(not_found(&wanted));
    }
    Ok(Json(list))
}

async fn apply(
    State(app): State<App>,
    Asked(query): Asked<ApplyRequest>,
    body: Bytes,
) -> Result<Json<Vec<Applied>>, ApiError> {
    let text = std::str::from_utf8(&body)
        .map_err(|error| ApiError::bad_request(format_args!("the text is not UTF-8: {error}")))?;
    let (namespace, domain) = {
        let index = app.index.lock();
        let namespace = query.namespace.as_deref();
        let namespace = namespace.unwrap_or(index.default_namespace()).to_owned();
        (namespace, index.domain().to_owned())
    };
    check_namespace(&namespace)
        .map_err(|error| ApiError::bad_request(format_args!("namespace {namespace:?}: {error}")))?;
    let source = query.source.as_deref().unwrap_or("manifest");
    let admitted = admit::read(text, source, &namespace, &domain).map_err(ApiError::invalid)?;
    if admitted.is_empty() {
        return Err(ApiError::invalid(resource::Rejection::of(
            source,
            "there is no resource in it",
        )));
    }

    let resources = admitted.iter().map(|admitted| admitted.resource.clone());
    let outcomes = app.source.put(resources.collect()).await;
    let outcomes = outcomes.map_err(|error| ApiError::internal(&error))?;
    let applied = admitted.into_iter().zip(outcomes);
    let applied = applied.map(|(Admitted { resource, warnings }, result)| Applied {
        resource: resource.key.to_string(),
        kind: resource.key.kind.to_string(),
        namespace: resource.key.namespace.to_string(),
        name: resource.key.name.to_string(),
        result: outcome(result),
        warnings,
    });
    Ok(Json(applied.collect()))
}

async fn delete(
    State(app): State<App>,
    Path(path): Path<(String, String, String)>,
) -> Result<StatusCode, ApiError> {
    let key = parse_key(&path)?;
    let deleted = app.source.delete(key.clone()).await;
    match deleted.map_err(|error| ApiError::internal(&error))? {
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

fn not_found(key: &Key) -> ApiError {
    ApiError::not_found(format_args!(
        "{key} not found in namespace {}",
        key.namespace
    ))
}

/// What is in force, and what was refused of it. A rejected file whose resource nobody can
/// tell is everybody's.
fn select(
    index: &Index,
    kind: ManifestKind,
    is_wanted: impl Fn(&Key) -> bool,
) -> ManifestList<Value> {
    let resources = index.resources(kind);
    let items = resources
        .filter(|resource| is_wanted(&resource.key))
        .map(resource::Manifest::to_json);
    let rejected = index
        .rejected()
        .filter(|rejection| rejection.key.as_ref().is_none_or(&is_wanted));
    ManifestList {
        items: items.collect(),
        rejected: rejected.map(rejection).collect(),
    }
}

fn outcome(outcome: resource::Outcome) -> Outcome {
    match outcome {
        resource::Outcome::Created => Outcome::Created,
        resource::Outcome::Configured => Outcome::Configured,
        resource::Outcome::Unchanged => Outcome::Unchanged,
    }
}

fn rejection(rejection: &resource::Rejection) -> Rejection {
    Rejection {
        source: rejection.source.clone(),
        line: rejection.line,
        column: rejection.column,
        reason: rejection.reason.clone(),
    }
}
