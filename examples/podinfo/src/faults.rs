//! Errors and delays: by path for one request, by flag for a share of all.

use axum::{
    Json, Router,
    body::{Body, Bytes},
    extract::{Path, Request, State},
    http::StatusCode,
    middleware::{Next, from_fn_with_state},
    response::{IntoResponse as _, Response},
    routing::any,
};
use futures_util::stream;
use serde_json::json;
use std::{convert::Infallible, process, time::Duration};
use tokio::time::sleep;

/// Longest delay that a path may ask for.
const MAX_SECONDS: u64 = 3600;

/// Faults of a share of all requests.
#[derive(Clone, Copy, Debug, Default, clap::Args)]
pub(crate) struct Faults {
    /// Delay each request by up to 5 s
    #[arg(long, env = "RANDOM_DELAY", value_parser = clap::builder::FalseyValueParser::new())]
    random_delay: bool,
    /// Answer a third of the requests with 500
    #[arg(long, env = "RANDOM_ERROR", value_parser = clap::builder::FalseyValueParser::new())]
    random_error: bool,
}

impl Faults {
    /// Puts the faults in front of `router`.
    pub(crate) fn apply(self, router: Router) -> Router {
        router.layer(from_fn_with_state(self, misbehave))
    }
}

async fn misbehave(State(faults): State<Faults>, request: Request, next: Next) -> Response {
    if faults.random_delay {
        sleep(Duration::from_secs_f64(5.0 * fastrand::f64())).await;
    }
    if faults.random_error && fastrand::u8(0..3) == 0 {
        let body = Json(json!({ "status": 500 }));
        return (StatusCode::INTERNAL_SERVER_ERROR, body).into_response();
    }
    next.run(request).await
}

pub(crate) fn routes() -> Router {
    Router::new()
        .route("/status/{code}", any(status))
        .route("/delay/{seconds}", any(delay))
        .route("/chunked/{seconds}", any(chunked))
        .route("/panic", any(end))
}

async fn status(Path(code): Path<u16>) -> Response {
    match StatusCode::from_u16(code)
        .ok()
        .filter(|_| (200..600).contains(&code))
    {
        Some(status) => (status, Json(json!({ "status": code }))).into_response(),
        None => {
            let text = "the status must be a number from 200 to 599\n";
            (StatusCode::BAD_REQUEST, text).into_response()
        }
    }
}

async fn delay(Path(seconds): Path<u64>) -> Response {
    if seconds > MAX_SECONDS {
        return too_long();
    }
    sleep(Duration::from_secs(seconds)).await;
    Json(json!({ "delay": seconds })).into_response()
}

/// Sends its head at once and its body after the delay.
async fn chunked(Path(seconds): Path<u64>) -> Response {
    if seconds > MAX_SECONDS {
        return too_long();
    }
    let body = stream::unfold(0, move |part| async move {
        let bytes = match part {
            0 => Bytes::from_static(b"{"),
            1 => {
                sleep(Duration::from_secs(seconds)).await;
                Bytes::from(format!("\"delay\":{seconds}}}"))
            }
            _ => return None,
        };
        Some((Ok::<_, Infallible>(bytes), part + 1))
    });
    Body::from_stream(body).into_response()
}

fn too_long() -> Response {
    let text = format!("the delay must be at most {MAX_SECONDS} seconds\n");
    (StatusCode::BAD_REQUEST, text).into_response()
}

/// Ends the process without an answer.
async fn end() {
    eprintln!("/panic was called");
    process::exit(255);
}
