//! What the questions about traffic have in common.

use super::{ApiError, App, api::Resource};
use crate::{
    index::Index,
    resource::{Body, Key, Kind},
    stats::{QueryError, Store, Topology, query::Peer},
};
use mesh_manifest::duration;
use std::{
    sync::{MutexGuard, PoisonError},
    time::{Duration, Instant},
};

/// The window of a question that names none.
const WINDOW: Duration = Duration::from_secs(60);

impl From<QueryError> for ApiError {
    fn from(error: QueryError) -> Self {
        match error {
            QueryError::NotFound(reason) => Self::not_found(reason),
            QueryError::Unsupported(reason) => Self::bad_request(reason),
        }
    }
}

/// The window a question names.
pub(super) fn window(text: Option<&str>) -> Result<Duration, ApiError> {
    text.map_or(Ok(WINDOW), |text| {
        let window = duration::parse(text);
        window.map_err(|error| ApiError::bad_request(format_args!("invalid time window: {error}")))
    })
}

/// The resource a question names.
pub(super) fn resource(text: &str) -> Result<Resource, ApiError> {
    text.parse()
        .map_err(|error: String| ApiError::bad_request(error))
}

/// The other side a question names, in the namespace of the first unless it says so.
pub(super) fn peer(
    text: Option<&str>,
    its_namespace: Option<String>,
    namespace: &str,
) -> Result<Option<Peer>, ApiError> {
    let Some(text) = text else {
        return Ok(None);
    };
    Ok(Some(Peer {
        resource: resource(text)?,
        namespace: its_namespace.unwrap_or_else(|| namespace.to_owned()),
    }))
}

/// The namespace a question names, else the mesh's own.
pub(super) fn namespace(app: &App, named: Option<String>) -> String {
    named.unwrap_or_else(|| app.index.lock().default_namespace().to_owned())
}

/// What there is now.
pub(super) fn topology(index: &Index) -> Topology {
    Topology::new(index.workloads(), index.domain(), |namespace, fqdn| {
        let key = Key::new(Kind::ServiceProfile, namespace, fqdn);
        let Some(Body::ServiceProfile(spec)) = index.resource(&key).map(|found| &found.body) else {
            return Vec::new();
        };
        spec.routes
            .iter()
            .map(|route| route.name.as_str().into())
            .collect()
    })
}

pub(super) fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

/// The counters, for as long as the guard lives: let that be short.
pub(super) fn store(app: &App) -> MutexGuard<'_, Store> {
    app.store.lock().unwrap_or_else(PoisonError::into_inner)
}
