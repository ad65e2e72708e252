//! A small cache, and a store that names what it kept.

use axum::{
    Json, Router,
    body::Bytes,
    extract::{DefaultBodyLimit, Path, State},
    http::StatusCode,
    response::{IntoResponse as _, Response},
    routing::{get, post},
};
use serde_json::json;
use sha2::{Digest as _, Sha256};
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

/// Most entries of a cache, and most bytes of each.
const MAX_ENTRIES: usize = 1_000;
const MAX_BYTES: usize = 64 << 10;

/// Values by key, in memory; the smallest key leaves when it is full.
#[derive(Debug, Default)]
pub(crate) struct Cache(Mutex<BTreeMap<String, Bytes>>);

impl Cache {
    fn entries(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, Bytes>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn put(&self, key: String, value: Bytes) {
        let mut entries = self.entries();
        entries.insert(key, value);
        if entries.len() > MAX_ENTRIES {
            entries.pop_first();
        }
    }
}

pub(crate) fn routes(cache: Arc<Cache>) -> Router {
    Router::new()
        .route("/cache/{key}", get(read).post(write).delete(remove))
        .route("/store", post(store))
        .route("/store/{hash}", get(read))
        .layer(DefaultBodyLimit::max(MAX_BYTES))
        .with_state(cache)
}

async fn read(State(cache): State<Arc<Cache>>, Path(key): Path<String>) -> Response {
    match cache.entries().get(&key) {
        Some(value) => value.clone().into_response(),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

async fn write(
    State(cache): State<Arc<Cache>>,
    Path(key): Path<String>,
    value: Bytes,
) -> StatusCode {
    cache.put(key, value);
    StatusCode::ACCEPTED
}

async fn remove(State(cache): State<Arc<Cache>>, Path(key): Path<String>) -> StatusCode {
    cache.entries().remove(&key);
    StatusCode::ACCEPTED
}

/// Keeps the body under its SHA-256.
async fn store(State(cache): State<Arc<Cache>>, value: Bytes) -> Response {
    let hash: String = Sha256::digest(&value)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    cache.put(hash.clone(), value);
    (StatusCode::ACCEPTED, Json(json!({ "hash": hash }))).into_response()
}
