//! Parameters that several requests have in common.

use super::{ApiError, App};
use axum::{extract::FromRequestParts, http::request::Parts};
use mesh_api::Namespaces;
use mesh_control::stats::{QueryError, Store, query::Peer};
use serde::de::DeserializeOwned;
use std::{
    sync::{MutexGuard, PoisonError},
    time::Instant,
};

/// A request, read from the parameters of the URL.
#[derive(Debug)]
pub(super) struct Query<Q>(pub(super) Q);

impl<Q: DeserializeOwned, S: Sync> FromRequestParts<S> for Query<Q> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        let query = parts.uri.query().unwrap_or_default();
        let request = serde_urlencoded::from_str(query);
        request.map(Self).map_err(ApiError::bad_request)
    }
}

impl From<QueryError> for ApiError {
    fn from(error: QueryError) -> Self {
        match error {
            QueryError::NotFound(reason) => Self::not_found(reason),
            QueryError::Unsupported(reason) => Self::bad_request(reason),
        }
    }
}

/// The other side of a request, in the namespace of the first unless it has its own.
pub(super) fn peer(peer: &mesh_api::Peer, namespace: &str) -> Peer {
    Peer {
        resource: peer.resource().clone(),
        namespace: peer.namespace().unwrap_or(namespace).to_owned(),
    }
}

/// The namespace of a request, else the mesh's own.
pub(super) fn namespaces(app: &App, namespaces: Namespaces) -> String {
    match namespaces {
        Namespaces::Named(name) => name,
        Namespaces::Mesh | Namespaces::All => namespace(app, None),
    }
}

/// The namespace that a request names, else the mesh's own.
pub(super) fn namespace(app: &App, named: Option<String>) -> String {
    named.unwrap_or_else(|| app.index.default_namespace().to_string())
}

pub(super) fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

/// Locks the counters. Hold the guard briefly: scrapes wait for it.
pub(super) fn store(app: &App) -> MutexGuard<'_, Store> {
    app.store.lock().unwrap_or_else(PoisonError::into_inner)
}
