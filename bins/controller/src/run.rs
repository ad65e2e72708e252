use crate::{
    Canaries, Config, Running, Supervisor,
    canary::World,
    faults::FaultStore,
    http::{self, Access, App},
    source::Local,
};
use anyhow::{Context, Result, anyhow};
use mesh_control::{
    grpc::{DestinationApi, FaultsApi, RegistryApi},
    index::Index,
    source::{BoxError, BoxFuture, Fleet, ResourceStore, Source},
    stats::{self, Store},
    status,
};
use mesh_local::{Lock, atomic, process, socket};
use std::{
    fmt, fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::{
    net::{TcpListener, UnixListener},
    sync::watch,
    time::timeout,
};
use tokio_stream::wrappers::TcpListenerStream;
use tonic::transport::Server;

/// The most streams of a connection: a sidecar has one for the profile and a few for the leaves
/// of each destination. The default limit of 200 would leave the rest unanswered.
const MAX_STREAMS: u32 = 16_384;

/// A connection without an answer to a ping for this long is closed.
const PING_INTERVAL: Duration = Duration::from_secs(20);
const PING_TIMEOUT: Duration = Duration::from_secs(10);

/// Time limit for connections to end after a shutdown begins.
const DRAIN: Duration = Duration::from_secs(1);

/// A controller that has its addresses and its state, and does not serve yet.
pub struct Controller {
    app: App,
    /// Access of the drivers of canary releases to the mesh.
    canaries: World,
    /// Follows the state folder.
    source: BoxFuture<'static, Result<(), BoxError>>,
    grpc: TcpListener,
    http: TcpListener,
    socket: UnixListener,
    created: CreatedFiles,
}

/// Files that the controller creates, removed when it is dropped.
#[derive(Debug)]
struct CreatedFiles {
    files: Vec<PathBuf>,
    _lock: Lock,
}

/// Serves until `shutdown`, then ends what is open.
///
/// # Errors
///
/// If the state folder cannot be read or is another controller's, or an address is taken.
pub async fn run(config: Config, shutdown: impl Future<Output = ()>) -> Result<()> {
    Controller::open(config).await?.serve(shutdown).await
}

impl Controller {
    /// Reads the state and binds the addresses. No request is answered before all sources are loaded:
    /// half an index would take endpoints away from sidecars that survived the last controller.
    ///
    /// # Errors
    ///
    /// If the state folder cannot be read or is another controller's, or an address is taken.
    pub async fn open(config: Config) -> Result<Self> {
        let state = &config.state;
        fs::create_dir_all(state.run())
            .with_context(|| format!("cannot create {}", state.run().display()))?;
        let lock = lock(&state.run().join("controller.lock"))?;
        let index = Index::new(&config.cluster_domain);
        let local = Local::open(state.clone(), index.clone())?;
        let mut source: BoxFuture<'static, _> = {
            let (local, sink) = (local.clone(), index.sink());
            Box::pin(async move { local.run(sink).await })
        };
        tokio::select! {
            biased;
            ended = &mut source => return Err(source_ended(ended)),
            () = index.ready() => {}
        }

        let socket = listen(&state.controller_socket())?;
        let grpc = bind(config.grpc).await?;
        let http = bind(config.http).await?;
        let pid = std::process::id();
        let running = Running {
            pid,
            start_time: process::start_time(pid).context("cannot read /proc/self/stat")?,
            grpc: grpc.local_addr()?,
            http: http.local_addr()?,
            version: env!("CARGO_PKG_VERSION").into(),
        };
        let json = serde_json::to_vec_pretty(&running)?;
        atomic::write(&state.controller(), &json)
            .with_context(|| format!("cannot write {}", state.controller().display()))?;

        let about = mesh_api::Version {
            version: running.version,
            namespace: String::new(),
            cluster_domain: config.cluster_domain,
            pid: running.pid,
            grpc: running.grpc,
            http: running.http,
        };
        let store = Arc::new(Mutex::new(Store::new()));
        let resources: Arc<dyn ResourceStore> = Arc::new(local);
        let fleet: Arc<dyn Fleet> = Arc::new(Supervisor::new(state));
        Ok(Self {
            canaries: World::new(
                index.clone(),
                store.clone(),
                resources.clone(),
                fleet.clone(),
                state.clone(),
                config.prometheus.clone(),
            ),
            app: App {
                canaries: Canaries::default(),
                index,
                store,
                resources,
                faults: FaultStore::open(state.faults()),
                fleet,
                about: Arc::new(about),
            },
            source,
            grpc,
            http,
            socket,
            created: CreatedFiles {
                files: vec![state.controller(), state.controller_socket()],
                _lock: lock,
            },
        })
    }

    /// Where sidecars ask for destinations.
    pub fn grpc(&self) -> SocketAddr {
        self.app.about.grpc
    }

    /// The address of the read-only API.
    pub fn http(&self) -> SocketAddr {
        self.app.about.http
    }

    /// State of the API.
    pub fn app(&self) -> &App {
        &self.app
    }

    /// Serves until `shutdown`, then ends what is open.
    ///
    /// # Errors
    ///
    /// If a listener fails for good.
    pub async fn serve(self, shutdown: impl Future<Output = ()>) -> Result<()> {
        let _created = self.created;
        let (stop, stopped) = watch::channel(false);
        let until_stopped = || {
            let mut stopped = stopped.clone();
            async move {
                let _ = stopped.wait_for(|stop| *stop).await;
            }
        };
        let index = self.app.index.clone();
        let store = self.app.store.clone();
        let registry = RegistryApi::new(index.clone(), store, stopped.clone());
        let faults = self.app.faults.declared().clone();
        let faults = FaultsApi::new(faults, index.clone(), stopped.clone());
        let grpc = Server::builder()
            .max_concurrent_streams(MAX_STREAMS)
            .http2_keepalive_interval(Some(PING_INTERVAL))
            .http2_keepalive_timeout(Some(PING_TIMEOUT))
            .tcp_nodelay(true)
            .add_service(DestinationApi::new(index.clone(), stopped.clone()).into_service())
            .add_service(registry.into_service())
            .add_service(faults.into_service())
            .serve_with_incoming_shutdown(TcpListenerStream::new(self.grpc), until_stopped());
        let read_only = http::router(self.app.clone(), Access::ReadOnly);
        let read_only = axum::serve(self.http, read_only).with_graceful_shutdown(until_stopped());
        let owner = http::router(self.app.clone(), Access::Owner);
        let owner = axum::serve(self.socket, owner).with_graceful_shutdown(until_stopped());
        let serve = async {
            tokio::try_join!(
                async { grpc.await.context("the gRPC listener failed") },
                async { read_only.await.context("the HTTP listener failed") },
                async { owner.await.context("the socket failed") },
            )
        };
        let targets = || stats::targets(&index.snapshot());
        let source = self.source;
        let scrape = stats::scrape::run(&self.app.store, targets);
        let canaries = self.app.canaries.run(self.canaries);
        let statuses = status::run(&index, &*self.app.resources);

        tracing::info!(
            "serving destinations on {}, the API on {}",
            self.app.about.grpc,
            self.app.about.http
        );
        let mut serve = std::pin::pin!(serve);
        tokio::select! {
            ended = &mut serve => return ended.map(drop),
            ended = source => return Err(source_ended(ended)),
            () = scrape => return Err(anyhow!("scraping the sidecars has ended")),
            () = canaries => return Err(anyhow!("driving canary releases has ended")),
            () = statuses => return Err(anyhow!("keeping the conditions of resources has ended")),
            () = shutdown => {}
        }
        tracing::info!("ending");
        let _ = stop.send(true);
        match timeout(DRAIN, serve).await {
            Ok(ended) => ended.map(drop),
            // Streams of the API that go on for ever end with the process.
            Err(_) => Ok(()),
        }
    }
}

impl fmt::Debug for Controller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Controller")
            .field("app", &self.app)
            .finish_non_exhaustive()
    }
}

/// The error of a source that does not run any more.
fn source_ended(ended: Result<(), BoxError>) -> anyhow::Error {
    match ended {
        Ok(()) => anyhow!("watching the state folder has ended"),
        Err(error) => anyhow!(error),
    }
}

impl Drop for CreatedFiles {
    fn drop(&mut self) {
        for file in &self.files {
            let _ = fs::remove_file(file);
        }
    }
}

/// Takes the lock `path`, which belongs to one controller at a time.
fn lock(path: &Path) -> Result<Lock> {
    let lock = Lock::try_acquire(path);
    let lock = lock.with_context(|| format!("cannot lock {}", path.display()))?;
    lock.with_context(|| {
        let path = path.display();
        format!("another controller serves this state folder ({path} is locked)")
    })
}

fn listen(path: &Path) -> Result<UnixListener> {
    let listener = socket::bind(path).and_then(UnixListener::from_std);
    listener.with_context(|| format!("cannot listen on {}", path.display()))
}

async fn bind(addr: SocketAddr) -> Result<TcpListener> {
    let listener = TcpListener::bind(addr).await;
    listener.with_context(|| format!("cannot listen on {addr}"))
}
