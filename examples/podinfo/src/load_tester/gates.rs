//! Gates: webhooks that people open and close by hand.

use super::Payload;
use axum::{
    Router,
    body::Bytes,
    extract::{Path, State},
    http::StatusCode,
    response::{IntoResponse as _, Response},
    routing::post,
};
use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, PoisonError},
};

/// Most gates that are open at once.
const MAX_GATES: usize = 1_000;

/// The open gates; all others are closed.
#[derive(Debug, Default)]
pub(super) struct Gates(Mutex<BTreeSet<String>>);

pub(super) fn routes(gates: Arc<Gates>) -> Router {
    Router::new()
        .route("/gate/{verb}", post(gate))
        .route("/rollback/{verb}", post(rollback))
        .with_state(gates)
}

async fn gate(State(gates): State<Arc<Gates>>, Path(verb): Path<String>, body: Bytes) -> Response {
    match &*verb {
        "approve" => (StatusCode::OK, "OK").into_response(),
        "halt" => (StatusCode::FORBIDDEN, "Forbidden").into_response(),
        verb => gates.answer("", verb, &body),
    }
}

async fn rollback(
    State(gates): State<Arc<Gates>>,
    Path(verb): Path<String>,
    body: Bytes,
) -> Response {
    gates.answer("rollback.", &verb, &body)
}

impl Gates {
    fn answer(&self, prefix: &str, verb: &str, body: &[u8]) -> Response {
        let payload = match Payload::parse(body) {
            Ok(payload) => payload,
            Err(response) => return *response,
        };
        let key = format!("{prefix}{}", payload.canary());
        let mut open = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match verb {
            "check" if open.contains(&key) => (StatusCode::OK, "Approved").into_response(),
            "check" => (StatusCode::FORBIDDEN, "Forbidden").into_response(),
            "open" if open.len() >= MAX_GATES && !open.contains(&key) => {
                (StatusCode::TOO_MANY_REQUESTS, "too many open gates").into_response()
            }
            "open" => {
                open.insert(key);
                StatusCode::ACCEPTED.into_response()
            }
            "close" => {
                open.remove(&key);
                StatusCode::ACCEPTED.into_response()
            }
            _ => StatusCode::NOT_FOUND.into_response(),
        }
    }
}
