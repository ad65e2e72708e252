//! The proxies, each as a mesh would use it: one thread, three endpoints, connections kept.

mod envoy;
mod haproxy;
mod nginx;
mod ours;

use crate::{
    floor::Threads,
    measure,
    scenario::Load,
    setup::{World, await_port, free_port},
};
use anyhow::Context as _;
use std::{
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

pub(crate) use self::ours::{Ours, outbound, start as start_ours};

/// The proxies, in the order of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Peer {
    /// The sidecar with everything on.
    Mesh,
    /// The same with a second worker.
    MeshTwo,
    /// A bare hyper proxy.
    Floor,
    Nginx,
    HaProxy,
    Envoy,
}

impl Peer {
    pub(crate) const ALL: [Self; 6] = [
        Self::Mesh,
        Self::MeshTwo,
        Self::Floor,
        Self::Nginx,
        Self::HaProxy,
        Self::Envoy,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Mesh => "mesh",
            Self::MeshTwo => "mesh, 2 workers",
            Self::Floor => "bare hyper",
            Self::Nginx => "nginx",
            Self::HaProxy => "HAProxy",
            Self::Envoy => "Envoy",
        }
    }

    /// Starts it; `wrap` is what its command line is put behind.
    pub(crate) fn start(self, world: &World, wrap: &Wrap) -> anyhow::Result<Proxy> {
        let proxy = match self {
            Self::Mesh => ours::start(world, &Ours::default(), wrap),
            Self::MeshTwo => ours::start(
                world,
                &Ours {
                    workers: 2,
                    ..Ours::default()
                },
                wrap,
            ),
            Self::Floor => floor(world, Threads::Own(1), 3, wrap),
            Self::Nginx => nginx::start(world, wrap),
            Self::HaProxy => haproxy::start(world, wrap),
            Self::Envoy => envoy::start(world, wrap),
        };
        let proxy = proxy.with_context(|| format!("cannot start {}", self.name()))?;
        // The first of its ports is not the last that it opens.
        for port in [Some(proxy.http2), proxy.opaque].into_iter().flatten() {
            await_port(port)?;
        }
        Ok(proxy)
    }
}

/// Further environment variables of a proxy.
pub(crate) type Wrap = [(String, String)];

/// A proxy that runs.
#[derive(Debug)]
pub(crate) struct Proxy {
    running: Running,
    http1: u16,
    http2: u16,
    /// Port for opaque bytes, of proxies that accept them.
    pub(crate) opaque: Option<u16>,
}

impl Proxy {
    /// Returns the port for `load`.
    pub(crate) fn port(&self, load: Load) -> u16 {
        if load.is_http2() {
            self.http2
        } else {
            self.http1
        }
    }

    /// Its processes.
    pub(crate) fn pids(&self) -> Vec<u32> {
        measure::family(self.running.child.id())
    }

    /// From its start until it took a connection.
    pub(crate) fn ready_after(&self) -> Duration {
        self.running.ready_after
    }
}

/// A process that ends with this.
#[derive(Debug)]
pub(crate) struct Running {
    child: Child,
    ready_after: Duration,
}

impl Drop for Running {
    fn drop(&mut self) {
        // Workers of a killed master live on: the youngest go first.
        for pid in measure::family(self.child.id()).into_iter().rev() {
            let _ = Command::new("kill").arg(pid.to_string()).status();
        }
        let _ = self.child.wait();
    }
}

/// Runs `command` until it listens on `port`.
pub(crate) fn spawn(command: &mut Command, port: u16) -> anyhow::Result<Running> {
    let started = Instant::now();
    let child = command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .with_context(|| format!("{command:?}"))?;
    let mut running = Running {
        child,
        ready_after: Duration::ZERO,
    };
    await_port(port).with_context(|| format!("{command:?}"))?;
    running.ready_after = started.elapsed();
    Ok(running)
}

/// A bare hyper proxy in front of the first so many addresses of [`World::addresses`].
pub(crate) fn floor(
    world: &World,
    threads: Threads,
    endpoints: usize,
    wrap: &Wrap,
) -> anyhow::Result<Proxy> {
    let port = free_port()?;
    let mut command = Command::new(&world.tools.own);
    command
        .args(["floor", &port.to_string(), &threads.argument()])
        .args(world.addresses(endpoints));
    command.envs(wrap.iter().cloned());
    Ok(Proxy {
        running: spawn(&mut command, port)?,
        http1: port,
        http2: port,
        opaque: None,
    })
}

/// Writes a configuration of `text`, and returns where it is.
fn configuration(world: &World, name: &str, text: &str) -> anyhow::Result<String> {
    let file: &Path = &world.tools.folder.join(name);
    std::fs::write(file, text)?;
    Ok(file.display().to_string())
}
