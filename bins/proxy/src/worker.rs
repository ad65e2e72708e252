use crate::{
    config::{Limits, Role},
    detect::{self, Protocol},
    discover::Discover,
    drain::Draining,
    http::{
        cache::Cache,
        inbound,
        outbound::{Outbound, ejections::Ejections, shared_state::Joints, stack::Workshop},
        respond::{self, Asked, ResponseBody},
    },
    listener::{
        connections::{Admitted, Connections, Permit},
        router::{Entrance, Way},
        server_first::First,
    },
    pool::Settings,
    registry::{Counter, Peer, Registry},
    serve::Server,
    tcp::{opaque, tls::Tls},
    transport::{Io, Meter, Turn},
};
use bytes::Bytes;
use futures_util::FutureExt as _;
use http_body_util::Empty;
use mesh_core::{BoxError, Conn, Direction};
use mesh_discover::{Destination, Watch};
use mesh_tap::Tap;
use std::{
    future::ready,
    io,
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    thread,
    time::Duration,
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::oneshot,
};

/// What the workers have in common.
#[derive(Clone)]
pub(crate) struct Common {
    pub(crate) limits: Limits,
    pub(crate) registry: Arc<Registry>,
    pub(crate) tap: Tap,
    pub(crate) labels: Arc<[(String, String)]>,
    pub(crate) joints: Arc<Joints>,
    pub(crate) discover: Option<Arc<dyn Discover>>,
    pub(crate) standalone: Option<Watch<Destination>>,
    pub(crate) connections: Arc<Connections>,
    /// The addresses that this proxy listens on.
    pub(crate) own: Arc<[SocketAddr]>,
    /// On these nobody speaks HTTP.
    pub(crate) opaque_ports: Arc<[u16]>,
}

/// One thread with a runtime of its own: listeners, connections, pools and balancer state. A
/// request is born, routed and answered here.
pub(crate) struct Worker {
    pub(crate) outbound: Arc<Outbound>,
    pub(crate) inbound: inbound::Workshop,
    /// Accepted connections.
    outer: [Arc<Meter>; 2],
    connections: Arc<Connections>,
    server: Server,
    /// When responses are written, and requests.
    turn: Arc<Turn>,
    pub(crate) opaque_ports: Arc<[u16]>,
    pub(crate) silence: Duration,
    pub(crate) detect: Duration,
}

/// A running worker; it ends when this is dropped.
pub(crate) struct Running {
    _stop: oneshot::Sender<()>,
    thread: Option<thread::JoinHandle<()>>,
}

/// A worker's deepest stack is that of one poll; measured, with room to spare.
const STACK: usize = 512 * 1024;

/// How long a connection too many may take to say what it speaks, and to listen to the answer.
const TURN_AWAY: Duration = Duration::from_secs(1);

/// How long to pause when accepting fails, which it does when descriptors run out.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Starts worker number `index`; it serves until the drain and ends when the handle is dropped.
pub(crate) fn start(
    index: usize,
    common: Common,
    listeners: Vec<(Role, std::net::TcpListener)>,
    draining: Draining,
) -> io::Result<Running> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        // Only names are resolved there.
        .max_blocking_threads(4)
        .thread_stack_size(128 * 1024)
        .build()?;
    let (stop, stopped) = oneshot::channel::<()>();
    let listeners = {
        let _entered = runtime.enter();
        listen(listeners)?
    };
    let thread = thread::Builder::new()
        .name(format!("worker-{index}"))
        .stack_size(STACK)
        .spawn(move || {
            runtime.block_on(async move {
                serve(index, &common, listeners, &draining);
                // What is draining is held by the tasks alone.
                drop(draining);
                let _ = stopped.await;
            });
            runtime.shutdown_background();
        })?;
    Ok(Running {
        _stop: stop,
        thread: Some(thread),
    })
}

type Listeners = Vec<(Arc<Role>, TcpListener)>;

/// Makes the sockets those of the current runtime.
pub(crate) fn listen(sockets: Vec<(Role, std::net::TcpListener)>) -> io::Result<Listeners> {
    let listener = |(role, socket)| Ok((Arc::new(role), TcpListener::from_std(socket)?));
    sockets.into_iter().map(listener).collect()
}

/// Starts the tasks of a worker on the current runtime; they hold `draining` until the drain.
pub(crate) fn serve(index: usize, common: &Common, listeners: Listeners, draining: &Draining) {
    let worker = Arc::new(Worker::new(index, common));
    for (role, listener) in listeners {
        tokio::spawn(accept(worker.clone(), role, listener, draining.clone()));
    }
}

impl Running {
    /// Ends the worker and waits for its thread.
    pub(crate) fn stop(self) {
        let Self { _stop, thread } = self;
        drop(_stop);
        if let Some(thread) = thread {
            let _ = thread.join();
        }
    }
}

impl Worker {
    fn new(index: usize, common: &Common) -> Self {
        let Common {
            limits, registry, ..
        } = common;
        let turn = Turn::start();
        let settings = |direction| {
            let meter = registry.meter(direction, Peer::Destination);
            let turn = turn.clone();
            let settings = Arc::new(match direction {
                Direction::Inbound => Settings::inbound(limits, meter, turn),
                _ => Settings::new(limits, meter, turn),
            });
            let counted = settings.clone();
            registry.counter(Counter {
                name: "request_resent_total",
                help: "Requests sent again on another connection because they never left.",
                read: Box::new(move || counted.resent.load(Relaxed)),
            });
            settings
        };
        let outbound = Outbound {
            cache: Cache::new(limits.destinations, limits.destination_idle),
            workshop: Workshop {
                worker: index,
                registry: registry.clone(),
                tap: common.tap.clone(),
                connections: settings(Direction::Outbound),
                ejections: Ejections::new(index),
                limits: *limits,
                announces: common.standalone.is_none(),
            },
            joints: common.joints.clone(),
            discover: common.discover.clone(),
            standalone: common.standalone.clone(),
            first_answer: limits.fail_fast,
            limits: *limits,
            own: common.own.clone(),
            hints: Mutex::default(),
            turns: AtomicUsize::new(0),
        };
        let inbound = inbound::Workshop {
            worker: index,
            registry: registry.clone(),
            tap: common.tap.clone(),
            labels: common.labels.clone(),
            connections: settings(Direction::Inbound),
            discover: common.discover.clone(),
            limits: *limits,
        };
        Self {
            outbound: Arc::new(outbound),
            inbound,
            outer: [Direction::Inbound, Direction::Outbound]
                .map(|direction| registry.meter(direction, Peer::Source)),
            connections: common.connections.clone(),
            server: Server::new(limits),
            turn: turn.clone(),
            opaque_ports: common.opaque_ports.clone(),
            silence: limits.silence,
            detect: limits.detect,
        }
    }

    /// From the first byte of a connection to its last.
    async fn serve(
        self: Arc<Self>,
        way: Way,
        socket: TcpStream,
        peer: SocketAddr,
        mut draining: Draining,
    ) -> io::Result<()> {
        // In a box, which is gone while requests come and go.
        let met = Box::pin(self.meet(&way, socket, peer, &mut draining)).await?;
        let Some((io, conn, protocol)) = met else {
            return Ok(());
        };
        let io = io.in_turns(&self.turn);
        if let Some(inbound) = way.inbound {
            let handle = move |req| inbound.handle(&conn, req);
            self.server.serve(io, protocol, handle, draining).await;
        } else {
            let (outbound, role) = (self.outbound.clone(), way.role);
            let handle = move |req| outbound.handle(&conn, &role, req);
            self.server.serve(io, protocol, handle, draining).await;
        }
        Ok(())
    }

    /// What a connection is and which HTTP it speaks; one of anything else is carried to its end.
    async fn meet(
        &self,
        way: &Way,
        socket: TcpStream,
        peer: SocketAddr,
        draining: &mut Draining,
    ) -> io::Result<Option<(Io, Arc<Conn>, Protocol)>> {
        let (role, original) = (&way.role, way.original);
        // Small answers must not wait for the caller's delayed ACK.
        socket.set_nodelay(true)?;
        let (direction, meter) = match **role {
            Role::Inbound(_) => (Direction::Inbound, &self.outer[0]),
            _ => (Direction::Outbound, &self.outer[1]),
        };
        let conn = Arc::new(Conn {
            peer,
            local: socket.local_addr()?,
            original_dst: original,
            direction,
            identity: None,
        });
        let mut io = Io::new(socket, meter.clone());
        if self.is_opaque(role, original).await {
            self.carry(role, original, io, peer, None).await?;
            return Ok(None);
        }
        match self.first(role, original, &io, draining).await? {
            First::Client => {}
            First::Server(endpoint) => {
                opaque::copy(io, endpoint).await?;
                return Ok(None);
            }
            First::Nobody => return Ok(None),
        }
        let protocol = tokio::select! {
            biased;
            protocol = detect::detect(&mut io, self.detect) => protocol?,
            // Nothing has been asked on it yet, and nothing seems to be on its way.
            () = draining.heard() => None,
        };
        match protocol {
            None => Ok(None),
            Some(Protocol::Opaque) => {
                self.carry(role, original, io, peer, None).await?;
                Ok(None)
            }
            Some(Protocol::Tls) => {
                let name = detect::server_name(&mut io, self.detect).await?;
                let tls = Tls {
                    name: name.unwrap_or_default(),
                    conn,
                };
                self.carry(role, original, io, peer, Some(tls)).await?;
                Ok(None)
            }
            Some(protocol) => Ok(Some((io, conn, protocol))),
        }
    }
}

impl Worker {
    /// Tells a connection for which there is no room.
    async fn turn_away(self: Arc<Self>, socket: TcpStream, draining: Draining) -> io::Result<()> {
        let mut io = Io::new(socket, Arc::default());
        let told = async {
            if let Some(protocol @ (Protocol::Http1 | Protocol::Http2)) =
                detect::detect(&mut io, TURN_AWAY).await?
            {
                let error = BoxError::from(self.connections.full());
                let handle = |req: http::Request<_>| {
                    let answer = respond::error(&error, Asked::of(&req));
                    ready(answer as http::Response<ResponseBody<Empty<Bytes>>>)
                };
                self.server.serve(io, protocol, handle, draining).await;
            }
            Ok(())
        };
        tokio::time::timeout(TURN_AWAY, told)
            .await
            .unwrap_or(Ok(()))
    }
}

/// Runs what serves a connection, which counts as long.
///
/// No `async fn`: that would hold `serving` twice, once as its argument.
fn until_the_end(
    serving: impl Future<Output = io::Result<()>>,
    permit: Permit,
    peer: SocketAddr,
) -> impl Future<Output = ()> {
    serving.map(move |served| {
        if let Err(error) = served {
            tracing::debug!(%error, %peer, "connection ended");
        }
        drop(permit);
    })
}

/// Accepts connections until the drain.
async fn accept(worker: Arc<Worker>, role: Arc<Role>, listener: TcpListener, draining: Draining) {
    let own = worker.outbound.own.clone();
    let entrance = Entrance::new(role, worker.inbound.clone(), own);
    let serve = |(socket, peer), draining: &Draining| {
        let (worker, draining) = (worker.clone(), draining.clone());
        match worker.connections.admit() {
            Admitted::Served(permit) => {
                let Some(way) = entrance.way(&socket) else {
                    return;
                };
                let serving = worker.serve(way, socket, peer, draining);
                tokio::spawn(until_the_end(serving, permit, peer));
            }
            Admitted::Told(permit) => {
                let turning = worker.turn_away(socket, draining);
                tokio::spawn(until_the_end(turning, permit, peer));
            }
            Admitted::Closed => {}
        }
    };
    let mut started = std::pin::pin!({
        let mut draining = draining.clone();
        async move { draining.started().await }
    });
    loop {
        tokio::select! {
            biased;
            () = &mut started => break,
            accepted = listener.accept() => match accepted {
                Ok(accepted) => serve(accepted, &draining),
                Err(error) => {
                    tracing::warn!(%error, "cannot accept");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            },
        }
    }
    // Whoever the kernel has already let in is served, too.
    while let Some(Ok(accepted)) = listener.accept().now_or_never() {
        serve(accepted, &draining);
    }
}
