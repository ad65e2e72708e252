//! The supervisor's API, on a socket that only its owner may use: it starts commands.

use super::{
    adhoc::{RunRequest, RunTicket},
    board::{Board, Row},
    config::Config,
    logs::Logs,
};
use anyhow::{Context as _, Result};
use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full, Limited, combinators::BoxBody};
use hyper::{
    body::{Body, Frame, Incoming},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use mesh_local::socket;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
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

/// `GET /v1/status`.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Status {
    pub(crate) pid: u32,
    pub(crate) file: PathBuf,
    pub(crate) namespace: String,
    /// True if each replica has a network namespace.
    #[serde(default)]
    pub(crate) transparent: bool,
    /// True if every started process is ready.
    pub(crate) ready: bool,
    /// A line for each service with a port on the host.
    pub(crate) urls: Vec<String>,
    /// A line for each service that would have one, and why it has none.
    #[serde(default)]
    pub(crate) notes: Vec<String>,
    /// Why not.
    #[serde(default)]
    pub(crate) problems: Vec<Problem>,
}

/// A replica that ends again and again.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Problem {
    pub(crate) name: String,
    pub(crate) restarts: u32,
    pub(crate) why: String,
    /// The last it said.
    pub(crate) tail: Vec<String>,
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
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            // Out of descriptors, most likely; some will come back.
            tokio::time::sleep(HEARTBEAT).await;
            continue;
        };
        let (shared, commands) = (Arc::clone(&shared), commands.clone());
        let service = service_fn(move |request| {
            let (shared, commands) = (Arc::clone(&shared), commands.clone());
            async move { Ok::<_, Infallible>(respond(request, &shared, commands).await) }
        });
        tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
    }
}

type ApiResponse = Response<BoxBody<Bytes, Infallible>>;

async fn respond(
    request: Request<Incoming>,
    shared: &Shared,
    commands: mpsc::Sender<Command>,
) -> ApiResponse {
    let answer = match (request.method(), request.uri().path()) {
        (&Method::GET, "/v1/status") => json(&shared.status()),
        (&Method::GET, "/v1/ps") => json(&shared.board.rows()),
        (&Method::POST, "/v1/down") => {
            shared.stop.notify_one();
            json(&shared.status())
        }
        (&Method::POST, "/v1/apply") => apply(request, &commands).await,
        (&Method::POST, "/v1/restart") => restart(request, &commands).await,
        (&Method::POST, "/v1/scale") => scale(request, &commands).await,
        (&Method::POST, "/v1/revision") => set_revision(request, &commands).await,
        (&Method::POST, "/v1/env") => set_env(request, &commands).await,
        (&Method::POST, "/v1/primary") => set_primary(request, &commands).await,
        (&Method::POST, "/v1/run") => run(request, commands).await,
        (method, path) => {
            let error = anyhow::anyhow!("the supervisor does not serve {method} {path}");
            return error_response(StatusCode::NOT_FOUND, &error);
        }
    };
    answer.unwrap_or_else(|error| error_response(StatusCode::UNPROCESSABLE_ENTITY, &error))
}

async fn apply(
    request: Request<Incoming>,
    commands: &mpsc::Sender<Command>,
) -> Result<ApiResponse> {
    let ApplyRequest { file, namespace } = read(request).await?;
    let config = Box::new(Config::read(&file)?.in_namespace(namespace.as_deref()));
    let changes = ask(commands, |reply| Command::Apply(config, reply)).await?;
    json(&changes)
}

async fn restart(
    request: Request<Incoming>,
    commands: &mpsc::Sender<Command>,
) -> Result<ApiResponse> {
    let name: String = read(request).await?;
    ask(commands, |reply| Command::Restart(name, reply)).await?;
    json(&())
}

async fn scale(
    request: Request<Incoming>,
    commands: &mpsc::Sender<Command>,
) -> Result<ApiResponse> {
    let request = read(request).await?;
    ask(commands, |reply| Command::Scale(request, reply)).await?;
    json(&())
}

async fn set_revision(
    request: Request<Incoming>,
    commands: &mpsc::Sender<Command>,
) -> Result<ApiResponse> {
    let request = read(request).await?;
    ask(commands, |reply| Command::SetRevision(request, reply)).await?;
    json(&())
}

async fn set_env(
    request: Request<Incoming>,
    commands: &mpsc::Sender<Command>,
) -> Result<ApiResponse> {
    let request = read(request).await?;
    ask(commands, |reply| Command::SetEnv(request, reply)).await?;
    json(&())
}

async fn set_primary(
    request: Request<Incoming>,
    commands: &mpsc::Sender<Command>,
) -> Result<ApiResponse> {
    let request = read(request).await?;
    ask(commands, |reply| Command::SetPrimary(request, reply)).await?;
    json(&())
}

async fn run(request: Request<Incoming>, commands: mpsc::Sender<Command>) -> Result<ApiResponse> {
    let request: RunRequest = read(request).await?;
    let ticket = ask(&commands, |reply| Command::Run(request, reply)).await?;
    let mut first = serde_json::to_vec(&ticket)?;
    first.push(b'\n');
    let body = Held {
        first: Some(first.into()),
        heartbeat: interval(HEARTBEAT),
        ticket: Some(ticket),
        commands,
    };
    Ok(Response::new(BoxBody::new(body)))
}

async fn ask<T>(
    commands: &mpsc::Sender<Command>,
    command: impl FnOnce(Reply<T>) -> Command,
) -> Result<T> {
    let (reply, answer) = oneshot::channel();
    let sent = commands.send(command(reply)).await;
    sent.ok().context("the mesh is stopping")?;
    answer.await.context("the mesh is stopping")?
}

async fn read<T: DeserializeOwned>(request: Request<Incoming>) -> Result<T> {
    let body = Limited::new(request.into_body(), MAX_REQUEST)
        .collect()
        .await;
    let body = body.map_err(|error| anyhow::anyhow!(error))?;
    serde_json::from_slice(&body.to_bytes()).context("the request is not what was expected")
}

fn json(value: &impl Serialize) -> Result<ApiResponse> {
    let body = Full::new(Bytes::from(serde_json::to_vec(value)?));
    Ok(Response::builder()
        .header(header::CONTENT_TYPE, "application/json")
        .body(BoxBody::new(body))?)
}

fn error_response(status: StatusCode, error: &anyhow::Error) -> ApiResponse {
    let text = serde_json::json!({ "error": format!("{error:#}") }).to_string();
    let mut answer = Response::new(BoxBody::new(Full::new(Bytes::from(text))));
    *answer.status_mut() = status;
    answer
}

/// An answer that lasts as long as a `mesh run`; its drop is how the supervisor learns of the
/// end, however that came about.
struct Held {
    first: Option<Bytes>,
    heartbeat: Interval,
    ticket: Option<RunTicket>,
    commands: mpsc::Sender<Command>,
}

impl Body for Held {
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
