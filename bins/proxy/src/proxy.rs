use crate::{
    admin::{self, Admin},
    config::{Config, Role},
    discover::{Discover, standalone},
    http::outbound::shared_state::SharedStates,
    listener::{accept, open_files},
    registry::{Counter, Registry},
    signals::{self, Shutdown, ShutdownHandle},
    worker::{self, Common},
};
use anyhow::Context as _;
use mesh_discover::{Control, ControlConfig};
use mesh_serve::{Connections, drain};
use mesh_tap::Tap;
use std::{
    net::{SocketAddr, TcpListener},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
};

/// A proxy whose ports are open, and that nobody is served by yet.
pub struct Proxy {
    config: Config,
    /// One socket per worker for each listener.
    listeners: Vec<(Role, Vec<TcpListener>)>,
    admin: TcpListener,
    discover: Option<Arc<dyn Discover>>,
}

/// Runs a proxy until SIGTERM, SIGINT, `POST /shutdown` or, if so configured, the end of
/// standard input; what is in flight then has the drain limit to finish. A second signal ends
/// it at once.
///
/// # Errors
///
/// A port is taken, or the configuration cannot be put into force.
pub fn run(config: Config) -> anyhow::Result<()> {
    keep_memory();
    open_files::raise(config.limits.connections);
    let lifeline = config.lifeline;
    let proxy = Proxy::bind(config)?;
    let (stop, shutdown) = Shutdown::channel();
    proxy.run_with(stop, shutdown, |stop| {
        signals::forward_signals(stop)?;
        if lifeline {
            signals::forward_lifeline(stop.clone())?;
        }
        Ok(())
    })
}

/// Lets the allocator keep what it will need again at once.
///
/// The GNU C library gives memory back to the system as soon as 128 KiB lie unused at the end of a
/// heap, which the buffers of one round of connections are, and asks for it again in the next. When
/// it frees a block that was large enough to be mapped apart, it takes such blocks for usual ones,
/// and from then on twice their size for little. Other libraries do not mind.
fn keep_memory() {
    const USUAL: usize = 1 << 20;
    drop(std::hint::black_box(Vec::<u8>::with_capacity(USUAL)));
}

impl Proxy {
    /// Opens all ports.
    ///
    /// # Errors
    ///
    /// Names the address that cannot be listened on.
    pub fn bind(config: Config) -> anyhow::Result<Self> {
        let listeners = config
            .listeners
            .iter()
            .map(|listener| {
                let sockets =
                    accept::bind(listener.addr, config.workers, config.limits.keep_alive)?;
                Ok((listener.role.clone(), sockets))
            })
            .collect::<anyhow::Result<_>>()?;
        let admin = accept::bind(config.admin, 1, config.limits.keep_alive)
            .context("admin port")?
            .remove(0);
        Ok(Self {
            config,
            listeners,
            admin,
            discover: None,
        })
    }

    /// Learns destinations from `discover` instead of the configured controller.
    #[must_use]
    pub fn with_discover(mut self, discover: Arc<dyn Discover>) -> Self {
        self.discover = Some(discover);
        self
    }

    /// Where it listens, in the order of [`Config::listeners`].
    pub fn addrs(&self) -> Vec<SocketAddr> {
        let addr = |(_, sockets): &(Role, Vec<TcpListener>)| sockets[0].local_addr().ok();
        self.listeners.iter().filter_map(addr).collect()
    }

    /// Where the admin port is.
    pub fn admin_addr(&self) -> SocketAddr {
        self.admin.local_addr().unwrap_or(self.config.admin)
    }

    /// Serves until `stop` or `POST /shutdown` requests a shutdown.
    ///
    /// # Errors
    ///
    /// The configuration cannot be put into force.
    pub fn run(self, stop: ShutdownHandle, shutdown: Shutdown) -> anyhow::Result<()> {
        self.run_with(stop, shutdown, |_| Ok(()))
    }

    fn run_with(
        self,
        stop: ShutdownHandle,
        shutdown: Shutdown,
        prepare: impl FnOnce(&ShutdownHandle) -> std::io::Result<()>,
    ) -> anyhow::Result<()> {
        // The control thread is this one.
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .max_blocking_threads(2)
            .thread_stack_size(128 * 1024)
            .build()?;
        let served = runtime.block_on(async {
            prepare(&stop)?;
            self.serve(stop, shutdown).await
        });
        runtime.shutdown_background();
        served
    }

    /// Builds the state that all workers share.
    async fn common(&mut self) -> anyhow::Result<Common> {
        let own: Arc<[_]> = self
            .addrs()
            .into_iter()
            .chain([self.admin_addr()])
            .collect();
        let standalone = match self.config.standalone.take() {
            Some(standalone) => {
                Some(standalone::watch(standalone, self.config.limits.addresses).await?)
            }
            None => None,
        };
        let Config {
            labels,
            limits,
            opaque_ports,
            ..
        } = &self.config;
        let discover = match self.discover.take() {
            Some(discover) => Some(discover),
            None => control(&self.config)?,
        };
        let registry = Arc::new(Registry::new(labels, limits));
        let connections = Connections::new(limits.connections);
        let counted = connections.clone();
        registry.counter(Counter {
            name: "connection_refused_total",
            help: "Connections of clients that were not served because there were too many.",
            read: Box::new(move || counted.refused()),
        });
        let shared_states = Arc::<SharedStates>::default();
        if let Some(discover) = discover.clone() {
            tokio::spawn(follow_faults(discover.clone(), shared_states.clone()));
            control_metrics(&registry, discover);
        }
        registry.faults(shared_states.clone());
        Ok(Common {
            limits: *limits,
            registry,
            tap: Tap::new(),
            labels: labels.as_slice().into(),
            shared_states,
            discover,
            standalone,
            connections,
            own,
            opaque_ports: opaque_ports.clone(),
        })
    }

    /// Serves with one worker on the current runtime, without a shutdown handle or an
    /// admin port, until the returned value is dropped: for benchmarks, which count what one thread
    /// does.
    ///
    /// # Errors
    ///
    /// The configuration cannot be put into force.
    #[doc(hidden)]
    pub async fn serve_here(mut self) -> anyhow::Result<impl Sized> {
        let common = self.common().await?;
        let (drain, draining) = drain::channel();
        let sockets = self.listeners.into_iter();
        let sockets = sockets.filter_map(|(role, mut sockets)| Some((role, sockets.pop()?)));
        worker::serve(0, &common, worker::listen(sockets.collect())?, &draining);
        Ok(drain)
    }

    async fn serve(mut self, stop: ShutdownHandle, mut shutdown: Shutdown) -> anyhow::Result<()> {
        let common = self.common().await?;
        let (drain, draining) = drain::channel();
        let mut running = Vec::new();
        for index in (0..self.config.workers).rev() {
            let sockets = self.listeners.iter_mut();
            let sockets = sockets
                .map(|(role, sockets)| (role.clone(), sockets.remove(index)))
                .collect();
            let worker = worker::start(index, common.clone(), sockets, draining.clone());
            running.push(worker.context("cannot start a worker")?);
        }
        drop(draining);

        let stopping = Arc::new(AtomicBool::new(false));
        let admin = Admin {
            registry: common.registry.clone(),
            tap: common.tap.clone(),
            discover: common.discover.clone(),
            stop,
            stopping: stopping.clone(),
            limits: common.limits,
        };
        let admin = tokio::spawn(admin::serve(Arc::new(admin), self.admin));
        tracing::info!(listening = ?common.own, "ready");
        drop(common);

        shutdown.requested().await;
        tracing::info!("draining");
        stopping.store(true, Relaxed);
        drain.start();
        tokio::select! {
            finished = drain.finished(self.config.limits.drain) => {
                if !finished {
                    tracing::warn!("requests in flight are broken off (--drain-limit)");
                }
            }
            () = shutdown.requested() => tracing::warn!("ending with requests in flight"),
        }
        admin.abort();
        running.into_iter().for_each(worker::Running::stop);
        Ok(())
    }
}

/// Injects the faults of `discover`.
async fn follow_faults(discover: Arc<dyn Discover>, shared_states: Arc<SharedStates>) {
    let Some(mut faults) = discover.faults() else {
        return;
    };
    let mut next = faults.ready().await;
    while let Some(rules) = next {
        shared_states.set_faults(&rules);
        next = faults.changed().await;
    }
}

/// Registers the health metrics of discovery.
fn control_metrics(registry: &Registry, discover: Arc<dyn Discover>) {
    let asked = discover.clone();
    registry.gauge(Counter {
        name: "control_lost_seconds",
        help: "Seconds since the controller was lost; 0 while it is connected.",
        // Not 0 from the first moment on.
        read: Box::new(move || asked.lost().map_or(0, |lost| lost.as_secs() + 1)),
    });
    // The second name is an alias for one release.
    for name in ["control_pending_removals", "control_doubted"] {
        let source = discover.clone();
        registry.gauge(Counter {
            name,
            help: "Destinations whose removal by a new controller waits for its grace period.",
            read: Box::new(move || source.pending_removals()),
        });
    }
    registry.counter(Counter {
        name: "control_ignored_total",
        help: "Messages of the controller that were empty or unreadable.",
        read: Box::new(move || discover.ignored()),
    });
}

fn control(config: &Config) -> anyhow::Result<Option<Arc<dyn Discover>>> {
    let Some(addr) = &config.control else {
        return Ok(None);
    };
    let label = |name: &str| {
        let found = config.labels.iter().find(|(key, _)| key == name);
        found.map_or("", |(_, value)| value.as_str())
    };
    let token = serde_json::json!({
        "ns": config.namespace,
        "pod": label("pod"),
        "nodeName": label("node"),
    });
    let config = ControlConfig::new(addr)
        .context("--control")?
        .with_cluster(&config.namespace, &config.cluster_domain)
        .with_context_token(token.to_string());
    Ok(Some(Arc::new(Control::new(config))))
}

impl std::fmt::Debug for Proxy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Proxy")
            .field("addrs", &self.addrs())
            .field("admin", &self.admin_addr())
            .finish_non_exhaustive()
    }
}
