//! A proxy in this process with real sockets, scripted neighbours and no clock.
#![allow(
    dead_code,
    unreachable_pub,
    unused_imports,
    reason = "each test file uses its part"
)]

mod client;
mod discovery;
mod peer;
mod upstream;

pub use self::{
    client::{Client, Reply, get},
    discovery::{Discovery, destination, endpoint, profile},
    peer::{Peer, frames},
    upstream::{Body, Upstream, answer, grpc, streamed, unending},
};

use mesh_proxy::{Config, Limits, Listener, Proxy, Role, Shutdown, ShutdownHandle, Standalone};
use std::{net::SocketAddr, sync::Arc, thread, time::Duration};

/// Port 0: the system chooses.
pub fn any() -> SocketAddr {
    ([127, 0, 0, 1], 0).into()
}

/// A configuration with one worker and these listeners.
pub fn config(roles: impl IntoIterator<Item = Role>) -> Config {
    let listeners = roles
        .into_iter()
        .map(|role| Listener { addr: any(), role })
        .collect();
    Config {
        listeners,
        admin: any(),
        control: None,
        namespace: "shop".into(),
        cluster_domain: "cluster.local".into(),
        labels: vec![("deployment".into(), "web".into())],
        workers: 1,
        lifeline: false,
        standalone: None,
        opaque_ports: [].into(),
        limits: Limits {
            drain: Duration::from_secs(20),
            // However busy the machine is.
            resend: Duration::from_secs(20),
            ..Limits::default()
        },
        log: "off".into(),
    }
}

/// The standalone form in front of `upstreams`.
pub fn standalone(upstreams: &[&Upstream]) -> Config {
    Config {
        standalone: Some(Standalone {
            forward: upstreams.iter().map(|up| up.addr().to_string()).collect(),
            profile: None,
        }),
        ..config([Role::Forward])
    }
}

/// A running proxy; it drains and ends when dropped.
pub struct Running {
    addrs: Vec<SocketAddr>,
    admin: SocketAddr,
    stop: ShutdownHandle,
    thread: Option<thread::JoinHandle<anyhow::Result<()>>>,
}

impl Running {
    pub fn start(config: Config) -> Self {
        Self::run(Proxy::bind(config).unwrap())
    }

    pub fn discovering(config: Config, discovery: &Discovery) -> Self {
        let discover = Arc::new(discovery.clone());
        Self::run(Proxy::bind(config).unwrap().with_discover(discover))
    }

    pub fn run(proxy: Proxy) -> Self {
        let (addrs, admin) = (proxy.addrs(), proxy.admin_addr());
        let (stop, shutdown) = Shutdown::channel();
        let own = stop.clone();
        let thread = thread::spawn(move || proxy.run(own, shutdown));
        Self {
            addrs,
            admin,
            stop,
            thread: Some(thread),
        }
    }

    /// The first listener.
    pub fn addr(&self) -> SocketAddr {
        self.addrs[0]
    }

    pub fn admin(&self) -> SocketAddr {
        self.admin
    }

    /// Begins the drain.
    pub fn shut_down(&self) {
        self.stop.request();
    }

    /// Waits until it has ended by itself.
    pub async fn ended(mut self) {
        let thread = self.thread.take().unwrap();
        let joined = tokio::task::spawn_blocking(move || thread.join());
        joined.await.unwrap().unwrap().unwrap();
    }

    pub async fn metrics(&self) -> Metrics {
        let reply = get(self.admin, "/metrics").await;
        assert_eq!(reply.status, 200);
        Metrics(reply.text())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(thread) = self.thread.take() {
            self.stop.request();
            self.stop.request();
            let _ = thread.join();
        }
    }
}

/// The text of `/metrics`.
pub struct Metrics(pub String);

impl Metrics {
    /// The sum of the series of `name` whose labels contain all of `labels`.
    pub fn sum(&self, name: &str, labels: &[&str]) -> f64 {
        self.0
            .lines()
            .filter(|line| {
                let rest = line.strip_prefix(name);
                rest.is_some_and(|rest| rest.starts_with(['{', ' ']))
                    && labels.iter().all(|label| line.contains(label))
            })
            .filter_map(|line| line.rsplit_once(' ')?.1.parse::<f64>().ok())
            .sum()
    }
}
