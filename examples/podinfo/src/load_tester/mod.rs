//! A load tester: runs the commands that the webhooks of a Canary send, and keeps their gates.
//!
//! **Whoever can reach its port runs commands as its user.** It listens on the loopback address
//! alone, and refuses requests that a web page sent.

mod commands;
mod gates;

use crate::serve::listen;
use axum::{
    Router,
    body::Bytes,
    extract::{DefaultBodyLimit, Request, State},
    http::{StatusCode, header},
    middleware::{Next, from_fn},
    response::{IntoResponse as _, Response},
    routing::{get, post},
};
use commands::Commands;
use gates::Gates;
use serde::Deserialize;
use std::{collections::BTreeMap, net::SocketAddr, sync::Arc, time::Duration};

/// Most bytes of a webhook's payload.
const MAX_PAYLOAD: usize = 64 << 10;

/// Settings of the load tester.
#[derive(Clone, Copy, Debug, clap::Args)]
pub(crate) struct Args {
    /// Port on 127.0.0.1
    #[arg(long, env, default_value_t = 9090)]
    port: u16,
    /// Seconds that a command may run
    #[arg(long, default_value_t = 3600)]
    timeout: u64,
}

pub(crate) async fn run(args: Args) -> anyhow::Result<()> {
    let addr = SocketAddr::from(([127, 0, 0, 1], args.port));
    listen(
        "the load tester",
        addr,
        router(Duration::from_secs(args.timeout)),
    )
    .await
}

/// The payload of a webhook.
#[derive(Clone, Debug, Default, Deserialize)]
struct Payload {
    #[serde(default)]
    name: String,
    #[serde(default)]
    namespace: String,
    #[serde(default)]
    metadata: BTreeMap<String, String>,
}

impl Payload {
    fn parse(body: &[u8]) -> Result<Self, Box<Response>> {
        serde_json::from_slice(body)
            .map_err(|error| Box::new(refuse(&format!("the payload is invalid: {error}"))))
    }

    /// Name of the Canary, as keys have it.
    fn canary(&self) -> String {
        format!("{}.{}", self.name, self.namespace)
    }
}

fn router(timeout: Duration) -> Router {
    Router::new()
        .route("/", post(work))
        .with_state(Arc::new(Commands::new(timeout)))
        .route("/healthz", get(async || "OK"))
        .merge(gates::routes(Arc::new(Gates::default())))
        .layer(DefaultBodyLimit::max(MAX_PAYLOAD))
        .layer(from_fn(local_only))
}

/// Refuses requests that a page in a browser may have sent.
async fn local_only(request: Request, next: Next) -> Response {
    if request.headers().contains_key(header::ORIGIN) {
        return (StatusCode::FORBIDDEN, "requests of web pages are refused\n").into_response();
    }
    next.run(request).await
}

async fn work(State(commands): State<Arc<Commands>>, body: Bytes) -> Response {
    let payload = match Payload::parse(&body) {
        Ok(payload) => payload,
        Err(response) => return *response,
    };
    if payload.metadata.is_empty() {
        return refuse("metadata not found in payload");
    }
    let metadata = |key: &str| payload.metadata.get(key).map(String::as_str);
    let kind = metadata("type").unwrap_or("cmd");
    let Some(command) = metadata("cmd").filter(|command| !command.is_empty()) else {
        return refuse("cmd not found in metadata");
    };
    match kind {
        "cmd" => {
            let log = metadata("logCmdOutput") == Some("true");
            commands.start(payload.canary(), command.to_owned(), log);
            StatusCode::ACCEPTED.into_response()
        }
        "bash" => match commands.run(command).await {
            Ok(output) if metadata("returnCmdOutput") == Some("true") => output.into_response(),
            Ok(_) => StatusCode::OK.into_response(),
            Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error).into_response(),
        },
        other => refuse(&format!("unknown task type {other}")),
    }
}

fn refuse(reason: &str) -> Response {
    (StatusCode::BAD_REQUEST, reason.to_owned()).into_response()
}

#[cfg(test)]
mod tests;
