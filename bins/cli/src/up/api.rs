//! The supervisor's API, on a socket that only its owner may use: it starts commands.

use super::{
    adhoc::{RunRequest, RunTicket},
    board::Board,
    config::Config,
    logs::Logs,
};
use crate::client::supervisor::{Problem, Row, Status};
use anyhow::{Context as _, Result, anyhow};
use axum::{
    Json, Router,
    extract::{DefaultBodyLimit, State, rejection::BytesRejection},
    response::{IntoResponse, Response},
    routing::{MethodRouter, get, post},
};
use bytes::Bytes;
use http::{Method, StatusCode, Uri};
use http_body::Frame;
use mesh_local::socket;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::json;
use std::{
    collections::BTreeMap,
    convert::Infallible,
    path::{Path, PathBuf},
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{self, Poll},
    time::Duration,
};
use tokio::{
    net::UnixListener,
    sync::{Notify, mpsc, oneshot},
    time::{Interval, interval},
};

/// The longest request.
const MAX_REQUEST: usize = 1 << 20;
/// A silent connection of a `mesh run` is written to this often, to see whether it is there.
const HEARTBEAT: Duration = Duration::from_secs(1);

/// A command to the supervisor.
#[derive(Debug)]
pub(crate) enum Command {
    Apply(Box<Config>, Reply<Vec<String>>),
    Restart(String, Reply<()>),
    Scale(ScaleRequest, Reply<()>),
    SetRevision(RevisionRequest, Reply<()>),
    SetEnv(EnvRequest, Reply<()>),
    SetPrimary(PrimaryRequest, Reply<()>),
    Run(RunRequest, Reply<RunTicket>),
    EndRun(RunTicket),
}

/// The answer, with the reason of a no.
pub(crate) type Reply<T> = oneshot::Sender<Result<T>>;

/// State that requests read without a command to the supervisor.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) board: Board,
    pub(crate) logs: Logs,
    pub(crate) status: Mutex<Status>,
    /// Told when everything is to end.
    pub(crate) stop: Notify,
}

/// `POST /v1/apply`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct ApplyRequest {
    /// The `mesh.yaml` to follow from now on.
    pub(crate) file: PathBuf,
    /// The namespace, if it is not the file's.
    #[serde(default)]
    pub(crate) namespace: Option<String>,
}

/// `POST /v1/scale`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct ScaleRequest {
    pub(crate) namespace: String,
    /// The workload.
    pub(crate) name: String,
    pub(crate) replicas: u32,
}

/// `POST /v1/revision`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct RevisionRequest {
    pub(crate) namespace: String,
    /// The workload.
    pub(crate) name: String,
    pub(crate) revision: String,
}

/// `POST /v1/env`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct EnvRequest {
    pub(crate) namespace: String,
    /// The workload.
    pub(crate) name: String,
    /// Variables to set, or to remove if they have no value.
    pub(crate) env: BTreeMap<String, Option<String>>,
}

/// `POST /v1/primary`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct PrimaryRequest {
    pub(crate) namespace: String,
    /// The workload whose primary this is about.
    pub(crate) name: String,
    /// Template that the primary runs; none removes the primary.
    pub(crate) template: Option<String>,
}

impl Shared {
    /// The status as of now.
    pub(crate) fn status(&self) -> Status {
        let mut status = self
            .status
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        let failing = |row: &Row| row.restarts > 0 && row.state != "ready";
        for row in self.board.rows().into_iter().filter(failing) {
            status.problems.push(Problem {
                tail: self.logs.tail(&row.name),
                name: row.name,
                restarts: row.restarts,
                why: row.why.unwrap_or_default(),
            });
        }
        status
    }

    pub(crate) fn set_status(&self, change: impl FnOnce(&mut Status)) {
        change(&mut self.status.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

/// Listens on `path`, for this user only. The caller holds the lock of the folder.
pub(crate) fn bind(path: &Path) -> Result<UnixListener> {
    let listener = socket::bind(path).and_then(UnixListener::from_std);
    listener.with_context(|| format!("listening on {}", path.display()))
}

/// Answers requests until it is dropped.
pub(crate) async fn serve(
    listener: UnixListener,
    shared: Arc<Shared>,
    commands: mpsc::Sender<Command>,
) {
    // Serving goes on after errors of a connection or of `accept`.
    let _ = axum::serve(listener, router(Api { shared, commands })).await;
}

/// State of the server: the supervisor's, and the channel of its commands.
#[derive(Clone)]
struct Api {
    shared: Arc<Shared>,
    commands: mpsc::Sender<Command>,
}

type Body = Result<Bytes, BytesRejection>;

fn router(api: Api) -> Router {
    Router::new()
        .route("/v1/status", get(status))
        .route("/v1/ps", get(ps))
        .route("/v1/down", post(down))
        .route("/v1/apply", post(apply))
        .route("/v1/restart", command(Command::Restart))
        .route("/v1/scale", command(Command::Scale))
        .route("/v1/revision", command(Command::SetRevision))
        .route("/v1/env", command(Command::SetEnv))
        .route("/v1/primary", command(Command::SetPrimary))
        .route("/v1/run", post(run))
        .fallback(not_served)
        .method_not_allowed_fallback(not_served)
        .layer(DefaultBodyLimit::max(MAX_REQUEST))
        .with_state(api)
}

async fn status(State(api): State<Api>) -> Json<Status> {
    Json(api.shared.status())
}

async fn ps(State(api): State<Api>) -> Json<Vec<Row>> {
    Json(api.shared.board.rows())
}

async fn down(State(api): State<Api>) -> Json<Status> {
    api.shared.stop.notify_one();
    Json(api.shared.status())
}

async fn apply(State(api): State<Api>, body: Body) -> Result<Json<Vec<String>>, Failure> {
    let ApplyRequest { file, namespace } = read(body)?;
    let config = Box::new(Config::read(&file)?.in_namespace(namespace.as_deref()));
    let changes = api.ask(|reply| Command::Apply(config, reply)).await?;
    Ok(Json(changes))
}

/// Passes the request on as a command whose answer is empty.
fn command<T>(command: fn(T, Reply<()>) -> Command) -> MethodRouter<Api>
where
    T: DeserializeOwned + Send + 'static,
{
    post(async move |State(api): State<Api>, body: Body| {
        let request = read(body)?;
        api.ask(|reply| command(request, reply)).await?;
        Ok::<_, Failure>(Json(()))
    })
}

async fn run(State(api): State<Api>, body: Body) -> Result<axum::body::Body, Failure> {
    let request: RunRequest = read(body)?;
    let ticket = api.ask(|reply| Command::Run(request, reply)).await?;
    let mut first = serde_json::to_vec(&ticket)?;
    first.push(b'\n');
    Ok(axum::body::Body::new(Held {
        first: Some(first.into()),
        heartbeat: interval(HEARTBEAT),
        ticket: Some(ticket),
        commands: api.commands,
    }))
}

async fn not_served(method: Method, uri: Uri) -> (StatusCode, Failure) {
    let path = uri.path();
    let error = anyhow!("the supervisor does not serve {method} {path}");
    (StatusCode::NOT_FOUND, Failure(error))
}

impl Api {
    async fn ask<T>(&self, command: impl FnOnce(Reply<T>) -> Command) -> Result<T> {
        let (reply, answer) = oneshot::channel();
        let sent = self.commands.send(command(reply)).await;
        sent.ok().context("the mesh is stopping")?;
        answer.await.context("the mesh is stopping")?
    }
}

fn read<T: DeserializeOwned>(body: Body) -> Result<T> {
    serde_json::from_slice(&body?).context("the request is not what was expected")
}

/// The reason of a no, as JSON.
struct Failure(anyhow::Error);

impl<E: Into<anyhow::Error>> From<E> for Failure {
    fn from(error: E) -> Self {
        Self(error.into())
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let error = json!({ "error": format!("{:#}", self.0) });
        (StatusCode::UNPROCESSABLE_ENTITY, Json(error)).into_response()
    }
}

/// An answer that lasts as long as a `mesh run`; its drop is how the supervisor learns of the
/// end, however that came about.
struct Held {
    first: Option<Bytes>,
    heartbeat: Interval,
    ticket: Option<RunTicket>,
    commands: mpsc::Sender<Command>,
}

impl http_body::Body for Held {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut task::Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if let Some(first) = self.first.take() {
            return Poll::Ready(Some(Ok(Frame::data(first))));
        }
        let beat = self.heartbeat.poll_tick(cx);
        beat.map(|_| Some(Ok(Frame::data(Bytes::from_static(b"\n")))))
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if let Some(ticket) = self.ticket.take() {
            let commands = self.commands.clone();
            tokio::spawn(async move { commands.send(Command::EndRun(ticket)).await });
        }
    }
}
