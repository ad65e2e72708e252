//! What one load does not show: system calls and allocations, idle connections, bytes that are no
//! HTTP, and whether cost grows with the mesh.

use crate::{
    Options, backend, load, measure,
    peers::{Ours, Peer, Proxy, start_ours},
    rounds::{self, median},
    scenario::Load,
    setup::World,
};
use anyhow::{Context as _, ensure};
use std::{
    collections::BTreeMap,
    fs,
    io::{Read as _, Write as _},
    net::{Ipv4Addr, TcpStream},
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

/// What most figures are of.
const USUAL: Load = Load::Http1 {
    connections: 64,
    large: false,
};

/// Connections that do nothing.
const IDLE: usize = 1_000;

/// By peer, each as the documentation of this module has it.
#[derive(Debug, Default)]
pub(crate) struct Extras {
    /// Per request.
    pub(crate) calls: BTreeMap<Peer, f64>,
    /// Per request.
    pub(crate) allocations: BTreeMap<Peer, f64>,
    /// What [`IDLE`] connections add, in KiB.
    pub(crate) idle: BTreeMap<Peer, f64>,
    /// Megabytes a second.
    pub(crate) opaque: BTreeMap<Peer, f64>,
    /// A larger mesh, and its CPU per request as a ratio to the usual one's.
    pub(crate) growth: Vec<(&'static str, f64)>,
}

pub(crate) fn run(world: &World, options: &Options) -> anyhow::Result<Extras> {
    let mut extras = Extras::default();
    if options.only.is_some() {
        return Ok(extras);
    }
    for peer in Peer::ALL {
        eprintln!(
            "system calls, allocations, idle connections: {}",
            peer.name()
        );
        let proxy = peer.start(world, &[])?;
        extras.calls.insert(peer, calls(world, &proxy)?);
        drop(proxy);
        // It brings an allocator of its own, which nobody can count from outside.
        if peer != Peer::Envoy {
            extras.allocations.insert(peer, allocations(world, peer)?);
        }
        extras.idle.insert(peer, idle(&peer.start(world, &[])?)?);
    }
    eprintln!("bytes");
    for peer in [Peer::Mesh, Peer::HaProxy] {
        let proxy = peer.start(world, &[])?;
        let mut runs: Vec<f64> = (0..options.rounds)
            .map(|_| opaque(&proxy))
            .collect::<Result<_, _>>()?;
        runs.sort_by(f64::total_cmp);
        extras.opaque.insert(peer, runs[runs.len() / 2]);
    }
    extras.growth = growth(world, options)?;
    Ok(extras)
}

fn calls(world: &World, proxy: &Proxy) -> anyhow::Result<f64> {
    let port = proxy.port(USUAL);
    load::run(&world.tools, port, USUAL, 1)?;
    let file = world.tools.folder.join("strace");
    let mut strace = Command::new("strace");
    strace.args(["-f", "-c", "-o"]).arg(&file);
    for pid in proxy.pids() {
        strace.args(["-p", &pid.to_string()]);
    }
    let mut strace = strace.stderr(Stdio::null()).spawn()?;
    thread::sleep(Duration::from_millis(500));
    let outcome = load::run(&world.tools, port, USUAL, 1)?;
    Command::new("kill")
        .args(["-INT", &strace.id().to_string()])
        .status()?;
    strace.wait()?;
    let text = fs::read_to_string(&file)?;
    let total = text.lines().find(|line| line.ends_with("total"));
    let calls = total.and_then(|line| line.split_whitespace().nth(3)?.parse::<f64>().ok());
    let calls = calls.with_context(|| format!("strace said:\n{text}"))?;
    Ok(calls / outcome.requests as f64)
}

fn allocations(world: &World, peer: Peer) -> anyhow::Result<f64> {
    let file = world.tools.folder.join("allocations");
    let _ = fs::remove_file(&file);
    let wrap = [
        (
            "LD_PRELOAD".to_owned(),
            world.tools.allocations.display().to_string(),
        ),
        ("ALLOCATIONS".to_owned(), file.display().to_string()),
    ];
    let proxy = peer.start(world, &wrap)?;
    let count = || {
        let bytes = fs::read(&file)?;
        let bytes = bytes.first_chunk().context("the count is not there")?;
        anyhow::Ok(u64::from_ne_bytes(*bytes))
    };
    load::run(&world.tools, proxy.port(USUAL), USUAL, 1)?;
    let before = count()?;
    let outcome = load::run(&world.tools, proxy.port(USUAL), USUAL, 1)?;
    Ok((count()? - before) as f64 / outcome.requests as f64)
}

fn idle(proxy: &Proxy) -> anyhow::Result<f64> {
    let port = proxy.port(USUAL);
    let ask = || {
        let mut socket = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
        let request = format!("GET {} HTTP/1.1\r\nhost: bench\r\n\r\n", load::PATH);
        socket.write_all(request.as_bytes())?;
        let mut answer = Vec::new();
        let mut buffer = [0; 4096];
        while !answer.windows(4).any(|end| end == b"\r\n\r\n") || answer.len() < 1_024 {
            let read = socket.read(&mut buffer)?;
            ensure!(read > 0, "an idle connection was closed");
            answer.extend_from_slice(&buffer[..read]);
        }
        anyhow::Ok(socket)
    };
    let _one = ask()?;
    let before = measure::resident(&proxy.pids())?;
    let _all = (0..IDLE).map(|_| ask()).collect::<Result<Vec<_>, _>>()?;
    let after = measure::resident(&proxy.pids())?;
    Ok(after.saturating_sub(before) as f64)
}

/// How fast bytes come, in megabytes a second.
fn opaque(proxy: &Proxy) -> anyhow::Result<f64> {
    let port = proxy.opaque.context("it carries bytes")?;
    let mut socket = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
    let started = Instant::now();
    socket.write_all(&[backend::RAW])?;
    let mut buffer = vec![0; 256 << 10];
    let mut total = 0;
    loop {
        match socket.read(&mut buffer)? {
            0 => break,
            read => total += read,
        }
        if total >= backend::STREAM {
            break;
        }
    }
    ensure!(total == backend::STREAM, "{total} bytes came");
    Ok(total as f64 / 1e6 / started.elapsed().as_secs_f64())
}

fn growth(world: &World, options: &Options) -> anyhow::Result<Vec<(&'static str, f64)>> {
    let usual = start_ours(world, &Ours::default(), &[])?;
    let mut growth = Vec::new();
    for (name, ours) in [
        (
            "10,000 routes",
            Ours {
                routes: 10_000,
                ..Ours::default()
            },
        ),
        (
            "999 endpoints",
            Ours {
                endpoints: 999,
                ..Ours::default()
            },
        ),
    ] {
        eprintln!("{name}");
        let larger = start_ours(world, &ours, &[])?;
        // Every endpoint has been called.
        load::run(&world.tools, larger.port(USUAL), USUAL, 2)?;
        let (mut small, mut large) = (Vec::new(), Vec::new());
        for _ in 0..options.rounds {
            small.push(rounds::measure(world, &usual, USUAL, options.seconds)?);
            large.push(rounds::measure(world, &larger, USUAL, options.seconds)?);
        }
        let cpu = |seen: &rounds::Seen| seen.cpu;
        growth.push((name, median(&large, cpu) / median(&small, cpu)));
    }
    Ok(growth)
}
