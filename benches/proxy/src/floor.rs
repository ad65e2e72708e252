//! The floor: the least that a proxy made of hyper can be. A pool of connections per endpoint,
//! endpoints in turn; no routes, no counts, no retries, no timeouts. On one thread, or on several in
//! two ways, to tell them apart: each with a runtime, a listener and pools of its own, as the sidecar
//! has it, or all sharing the work of one runtime.

use anyhow::Context as _;
use http::{Request, Response, Version};
use hyper::{
    body::Incoming,
    client::conn::{http1, http2},
    server::conn::{http1 as server1, http2 as server2},
    service::service_fn,
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
};
use tokio::{
    net::{TcpSocket, TcpStream},
    runtime::Builder,
};

/// Number of threads, each with its own runtime or all with one.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Threads {
    /// A runtime for each thread.
    Own(u16),
    /// One runtime for all threads.
    Shared(u16),
}

struct Floor {
    endpoints: Vec<Endpoint>,
    turn: AtomicUsize,
}

struct Endpoint {
    addr: SocketAddr,
    idle: Mutex<Vec<http1::SendRequest<Incoming>>>,
    shared: Mutex<Option<http2::SendRequest<Incoming>>>,
}

impl Threads {
    /// Returns the argument of the command line: `own-2`, `shared-2`.
    pub(crate) fn argument(self) -> String {
        match self {
            Self::Own(threads) => format!("own-{threads}"),
            Self::Shared(threads) => format!("shared-{threads}"),
        }
    }

    fn parse(text: &str) -> Option<Self> {
        let (kind, threads) = text.split_once('-')?;
        let threads = threads.parse().ok().filter(|threads| *threads > 0)?;
        match kind {
            "own" => Some(Self::Own(threads)),
            "shared" => Some(Self::Shared(threads)),
            _ => None,
        }
    }
}

pub(crate) fn run(port: &str, threads: &str, backends: &[&str]) -> anyhow::Result<()> {
    let addrs: Vec<SocketAddr> = backends
        .iter()
        .map(|addr| addr.parse())
        .collect::<Result<_, _>>()?;
    let port: u16 = port.parse().context("a port")?;
    match Threads::parse(threads).context("own-N or shared-N")? {
        Threads::Shared(threads) => Builder::new_multi_thread()
            .worker_threads(threads.into())
            .enable_all()
            .build()?
            // In a task, which any of the threads may run.
            .block_on(async move { tokio::spawn(listen(port, addrs)).await? }),
        Threads::Own(threads) => {
            for _ in 1..threads {
                let addrs = addrs.clone();
                std::thread::spawn(move || alone(port, addrs));
            }
            alone(port, addrs)
        }
    }
}

fn alone(port: u16, addrs: Vec<SocketAddr>) -> anyhow::Result<()> {
    Builder::new_current_thread()
        .enable_all()
        .build()?
        .block_on(listen(port, addrs))
}

async fn listen(port: u16, addrs: Vec<SocketAddr>) -> anyhow::Result<()> {
    let endpoint = |addr| Endpoint {
        addr,
        idle: Mutex::default(),
        shared: Mutex::default(),
    };
    let floor = Arc::new(Floor {
        endpoints: addrs.into_iter().map(endpoint).collect(),
        turn: AtomicUsize::new(0),
    });
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseport(true)?;
    socket.bind(([127, 0, 0, 1], port).into())?;
    let listener = socket.listen(1_024)?;
    loop {
        let (socket, _) = listener.accept().await?;
        socket.set_nodelay(true)?;
        tokio::spawn(serve(floor.clone(), socket));
    }
}

async fn serve(floor: Arc<Floor>, socket: TcpStream) {
    let mut first = [0; 3];
    let is_http2 = matches!(socket.peek(&mut first).await, Ok(3)) && first == *b"PRI";
    let forward = service_fn(move |req| floor.clone().forward(req));
    let io = TokioIo::new(socket);
    if is_http2 {
        let _ = server2::Builder::new(TokioExecutor::new())
            .serve_connection(io, forward)
            .await;
    } else {
        let _ = server1::Builder::new().serve_connection(io, forward).await;
    }
}

impl Floor {
    async fn forward(
        self: Arc<Self>,
        req: Request<Incoming>,
    ) -> anyhow::Result<Response<Incoming>> {
        let turn = self.turn.fetch_add(1, Relaxed);
        let endpoint = &self.endpoints[turn % self.endpoints.len()];
        if req.version() == Version::HTTP_2 {
            let shared = lock(&endpoint.shared).clone();
            let mut sender = match shared.filter(http2::SendRequest::is_ready) {
                Some(sender) => sender,
                None => endpoint.share().await?,
            };
            let rsp = sender.send_request(req).await?;
            return Ok(rsp);
        }
        let mut sender = match endpoint.idle() {
            Some(sender) => sender,
            None => endpoint.connect().await?,
        };
        let rsp = sender.send_request(req).await?;
        // Ready again when the body has been read.
        lock(&endpoint.idle).push(sender);
        Ok(rsp)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Endpoint {
    fn idle(&self) -> Option<http1::SendRequest<Incoming>> {
        let mut idle = lock(&self.idle);
        let ready = idle.iter().rposition(http1::SendRequest::is_ready)?;
        Some(idle.swap_remove(ready))
    }

    async fn connect(&self) -> anyhow::Result<http1::SendRequest<Incoming>> {
        let socket = TcpStream::connect(self.addr).await?;
        socket.set_nodelay(true)?;
        let (sender, conn) = http1::handshake(TokioIo::new(socket)).await?;
        tokio::spawn(conn);
        Ok(sender)
    }

    async fn share(&self) -> anyhow::Result<http2::SendRequest<Incoming>> {
        let socket = TcpStream::connect(self.addr).await?;
        socket.set_nodelay(true)?;
        let io = TokioIo::new(socket);
        let (sender, conn) = http2::handshake(TokioExecutor::new(), io).await?;
        tokio::spawn(conn);
        *lock(&self.shared) = Some(sender.clone());
        Ok(sender)
    }
}
