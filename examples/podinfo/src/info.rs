//! Pages about the service itself: version, host, environment, headers.

use axum::{
    Json, Router,
    extract::State,
    http::{HeaderMap, StatusCode},
    response::{Html, IntoResponse, Response},
    routing::{get, post},
};
use serde_json::{Value, json};
use std::{collections::BTreeMap, env, fs, sync::Arc};

/// Text that the service shows of itself.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Identity {
    /// Version to show
    #[arg(
        long = "version-name",
        env = "VERSION",
        default_value = "1.7.0",
        value_name = "VERSION"
    )]
    pub(crate) version: String,
    /// Colour of the page
    #[arg(long, env = "PODINFO_UI_COLOR", default_value = "#34577c")]
    color: String,
    /// Greeting
    #[arg(
        long,
        env = "PODINFO_UI_MESSAGE",
        default_value = "greetings from podinfo"
    )]
    message: String,
    /// Name of this replica; by default the name of the host
    #[arg(long, env = "HOSTNAME")]
    hostname: Option<String>,
}

impl Identity {
    fn hostname(&self) -> String {
        let kernel = || fs::read_to_string("/proc/sys/kernel/hostname").ok();
        let name = self.hostname.clone().or_else(kernel).unwrap_or_default();
        name.trim().to_owned()
    }

    fn json(&self) -> Value {
        json!({
            "hostname": self.hostname(),
            "version": self.version,
            "revision": env::var("MESH_REVISION").unwrap_or_default(),
            "color": self.color,
            "message": self.message,
            "goos": env::consts::OS,
            "goarch": env::consts::ARCH,
        })
    }
}

pub(crate) fn routes(identity: Arc<Identity>) -> Router {
    Router::new()
        .route("/", get(index))
        .route("/api/info", get(info))
        .route("/version", get(version))
        .route("/env", get(environment))
        .route("/headers", get(headers))
        .route("/configs", get(configs))
        .route("/echo", post(echo))
        .with_state(identity)
}

/// A page for browsers, JSON for programs.
async fn index(State(identity): State<Arc<Identity>>, headers: HeaderMap) -> Response {
    let accept = headers
        .get("accept")
        .and_then(|accept| accept.to_str().ok());
    if !accept.is_some_and(|accept| accept.contains("text/html")) {
        return Json(identity.json()).into_response();
    }
    let escape = |text: &str| {
        let text = text.replace('&', "&amp;").replace('<', "&lt;");
        text.replace('"', "&quot;")
    };
    let Identity {
        version,
        color,
        message,
        ..
    } = &*identity;
    Html(format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>podinfo {version}</title>\
         <body style=\"background:{color};color:#fff;font-family:sans-serif\">\
         <h1>{message}</h1><p>version {version} on {host}</p></body></html>\n",
        version = escape(version),
        color = escape(color),
        message = escape(message),
        host = escape(&identity.hostname()),
    ))
    .into_response()
}

async fn info(State(identity): State<Arc<Identity>>) -> Json<Value> {
    Json(identity.json())
}

async fn version(State(identity): State<Arc<Identity>>) -> Json<Value> {
    Json(json!({ "version": identity.version, "commit": env!("CARGO_PKG_VERSION") }))
}

async fn environment() -> Json<Vec<String>> {
    let variables = env::vars_os()
        .map(|(name, value)| format!("{}={}", name.to_string_lossy(), value.to_string_lossy()));
    Json(variables.collect())
}

async fn headers(headers: HeaderMap) -> Json<BTreeMap<String, Vec<String>>> {
    let mut all: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (name, value) in &headers {
        let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
        all.entry(name.to_string()).or_default().push(value);
    }
    Json(all)
}

/// There is no configuration but flags and environment.
async fn configs() -> Json<Value> {
    Json(json!({}))
}

async fn echo(body: axum::body::Bytes) -> impl IntoResponse {
    (StatusCode::ACCEPTED, body)
}
