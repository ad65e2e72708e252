//! One worker thread: its runtime, listeners, connection pools and stacks.

use crate::{
    config::{Limits, Role},
    discover::Discover,
    http::{
        cache::Cache,
        headers, inbound,
        outbound::{
            Outbound, ejections::Ejections, shared_state::SharedStates, stack::StackContext,
        },
        pooled, respond,
    },
    listener::connection,
    registry::{Counter, Peer, Registry},
};
use mesh_core::Direction;
use mesh_discover::{Destination, Watch};
use mesh_serve::{Connections, Draining, Server};
use mesh_tap::Tap;
use mesh_transport::{Flusher, Meter};
use std::{
    io,
    net::SocketAddr,
    sync::{Arc, Mutex},
    thread,
};
use tokio::{net::TcpListener, sync::oneshot};

/// State that all workers share.
#[derive(Clone)]
pub(crate) struct Common {
    pub(crate) limits: Limits,
    pub(crate) registry: Arc<Registry>,
    pub(crate) tap: Tap,
    pub(crate) labels: Arc<[(String, String)]>,
    pub(crate) shared_states: Arc<SharedStates>,
    pub(crate) discover: Option<Arc<dyn Discover>>,
    pub(crate) standalone: Option<Watch<Destination>>,
    pub(crate) connections: Arc<Connections>,
    /// Listen addresses of this proxy; a request to one of them would be a loop.
    pub(crate) own: Arc<[SocketAddr]>,
    /// Ports whose connections are carried as bytes, without detection.
    pub(crate) opaque_ports: Arc<[u16]>,
}

/// One thread with a runtime of its own: listeners, connections, pools and balancer state. A
/// request never moves to another thread.
pub(crate) struct Worker {
    pub(crate) outbound: Arc<Outbound>,
    pub(crate) inbound: inbound::StackContext,
    /// Byte counters of accepted connections: inbound, outbound.
    pub(crate) outer: [Arc<Meter>; 2],
    pub(crate) connections: Arc<Connections>,
    pub(crate) server: Server,
    /// Gathers small writes of all connections.
    pub(crate) flusher: Arc<Flusher>,
    pub(crate) opaque_ports: Arc<[u16]>,
    pub(crate) limits: Limits,
}

/// A running worker; it ends when this is dropped.
pub(crate) struct Running {
    _stop: oneshot::Sender<()>,
    thread: Option<thread::JoinHandle<()>>,
}

/// Stack size in bytes. The deepest stack is that of one poll; measured, with room to spare.
const STACK: usize = 512 * 1024;

/// Starts worker number `index`; it serves until the drain and ends when the handle is dropped.
pub(crate) fn start(
    index: usize,
    common: Common,
    listeners: Vec<(Role, std::net::TcpListener)>,
    draining: Draining,
) -> io::Result<Running> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        // Blocking threads only resolve names.
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
                // Only the tasks of open connections delay the end of a drain.
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

type Listeners = Vec<(Role, TcpListener)>;

/// Registers the sockets with the current runtime.
pub(crate) fn listen(sockets: Vec<(Role, std::net::TcpListener)>) -> io::Result<Listeners> {
    let listener = |(role, socket)| Ok((role, TcpListener::from_std(socket)?));
    sockets.into_iter().map(listener).collect()
}

/// Starts the tasks of a worker on the current runtime; they hold `draining` until the drain.
pub(crate) fn serve(index: usize, common: &Common, listeners: Listeners, draining: &Draining) {
    let worker = Arc::new(Worker::new(index, common));
    for (role, listener) in listeners {
        let accepting = connection::accept(worker.clone(), role, listener, draining.clone());
        tokio::spawn(accepting);
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
        let flusher = Flusher::start();
        let settings = |direction| {
            let meter = registry.meter(direction, Peer::Destination);
            let flusher = flusher.clone();
            let settings = Arc::new(limits.pool(direction, meter, flusher, &pooled::HOOKS));
            let counted = settings.clone();
            registry.counter(Counter {
                name: "request_resent_total",
                help: "Requests sent again on another connection because they never left.",
                read: Box::new(move || counted.resent()),
            });
            settings
        };
        let server = Server::new(&limits.server())
            .with_refusals(respond::unreadable)
            .with_trailers(headers::strip_trailers);
        let outbound = Outbound {
            cache: Cache::new(limits.destinations, limits.destination_idle),
            dials: Cache::new(limits.destinations, limits.destination_idle),
            context: StackContext {
                worker: index,
                registry: registry.clone(),
                tap: common.tap.clone(),
                connections: settings(Direction::Outbound),
                ejections: Ejections::new(index),
                limits: *limits,
                announces: common.standalone.is_none(),
            },
            shared_states: common.shared_states.clone(),
            discover: common.discover.clone(),
            standalone: common.standalone.clone(),
            first_answer: limits.fail_fast,
            limits: *limits,
            admitted: limits.server(),
            server: server.clone(),
            own: common.own.clone(),
            hints: Mutex::default(),
        };
        let inbound = inbound::StackContext {
            worker: index,
            registry: registry.clone(),
            tap: common.tap.clone(),
            labels: common.labels.clone(),
            connections: settings(Direction::Inbound),
            discover: common.discover.clone(),
            limits: *limits,
            admitted: limits.server(),
        };
        Self {
            outbound: Arc::new(outbound),
            inbound,
            outer: [Direction::Inbound, Direction::Outbound]
                .map(|direction| registry.meter(direction, Peer::Source)),
            connections: common.connections.clone(),
            server,
            flusher: flusher.clone(),
            opaque_ports: common.opaque_ports.clone(),
            limits: *limits,
        }
    }
}
