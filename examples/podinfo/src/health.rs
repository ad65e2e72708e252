//! Probes, and the switch of readiness.

use axum::{
    Json, Router,
    extract::{Path, State},
    http::StatusCode,
    routing::{get, post},
};
use serde_json::{Value, json};
use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering::Relaxed},
};

/// Answers of the probes.
#[derive(Debug)]
pub(crate) struct Health {
    alive: bool,
    ready: AtomicBool,
}

impl Health {
    pub(crate) fn new(alive: bool, ready: bool) -> Self {
        Self {
            alive,
            ready: ready.into(),
        }
    }
}

pub(crate) fn routes(health: Arc<Health>) -> Router {
    Router::new()
        .route("/healthz", get(alive))
        .route("/readyz", get(ready))
        .route("/readyz/{switch}", post(switch))
        .with_state(health)
}

async fn alive(State(health): State<Arc<Health>>) -> (StatusCode, Json<Value>) {
    answer(health.alive)
}

async fn ready(State(health): State<Arc<Health>>) -> (StatusCode, Json<Value>) {
    answer(health.ready.load(Relaxed))
}

async fn switch(State(health): State<Arc<Health>>, Path(switch): Path<String>) -> StatusCode {
    let ready = match &*switch {
        "enable" => true,
        "disable" => false,
        _ => return StatusCode::NOT_FOUND,
    };
    health.ready.store(ready, Relaxed);
    StatusCode::ACCEPTED
}

fn answer(ok: bool) -> (StatusCode, Json<Value>) {
    match ok {
        true => (StatusCode::OK, Json(json!({ "status": "OK" }))),
        false => (
            StatusCode::SERVICE_UNAVAILABLE,
            Json(json!({ "status": "unavailable" })),
        ),
    }
}
