//! Figures beside the loads: system calls, allocations, idle connections, opaque bytes, cost by
//! size of the mesh, and the cost of shared runtimes.

use crate::{
    Options, backend,
    floor::Threads,
    load, measure,
    peers::{Ours, Peer, Proxy, floor, outbound, start_ours},
    rounds::{self, Seen, median},
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

/// The load of most figures.
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
    /// Memory of [`IDLE`] connections in KiB.
    pub(crate) idle: BTreeMap<Peer, f64>,
    /// Megabytes a second.
    pub(crate) opaque: BTreeMap<Peer, f64>,
    /// Milliseconds from its start until a proxy took a connection.
    pub(crate) ready: BTreeMap<Peer, f64>,
    /// A larger mesh, and its CPU per request as a ratio to the usual one's.
    pub(crate) growth: Vec<(Growth, f64)>,
    /// Ways to use two threads.
    pub(crate) runtimes: Vec<(&'static str, Seen)>,
}

/// Endpoints that are many.
const MANY: usize = 999;

/// In what a mesh is larger.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Growth {
    Routes,
    Endpoints,
    BareEndpoints,
    Destinations,
    OtherDestinations,
}

impl Growth {
    const ALL: [Self; 5] = [
        Self::Routes,
        Self::Endpoints,
        Self::BareEndpoints,
        Self::Destinations,
        Self::OtherDestinations,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Routes => "10,000 routes instead of 20",
            Self::Endpoints => "999 endpoints instead of 3",
            Self::BareEndpoints => "999 endpoints instead of 3, bare hyper",
            Self::Destinations => "requests for 1,000 destinations in turn instead of 3",
            Self::OtherDestinations => "997 more destinations in use, requests for 3",
        }
    }
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
        let mut starts = Vec::new();
        for _ in 0..4 {
            starts.push(peer.start(world, &[])?.ready_after().as_secs_f64() * 1e3);
        }
        let proxy = peer.start(world, &[])?;
        starts.push(proxy.ready_after().as_secs_f64() * 1e3);
        starts.sort_by(f64::total_cmp);
        extras.ready.insert(peer, starts[starts.len() / 2]);
        extras.calls.insert(peer, calls(world, &proxy)?);
        drop(proxy);
        // Its own allocator cannot be counted from outside.
        if peer != Peer::Envoy {
            extras.allocations.insert(peer, allocations(world, peer)?);
        }
        extras.idle.insert(peer, idle(&peer.start(world, &[])?)?);
    }
    eprintln!("bytes");
    let mut carriers = Vec::new();
    for peer in [Peer::Mesh, Peer::HaProxy] {
        carriers.push((peer, peer.start(world, &[])?, Vec::new()));
    }
    for _ in 0..options.rounds {
        for (_, proxy, runs) in &mut carriers {
            runs.push(opaque(proxy)?);
        }
    }
    for (peer, _, mut runs) in carriers {
        runs.sort_by(f64::total_cmp);
        extras.opaque.insert(peer, runs[runs.len() / 2]);
    }
    extras.growth = growth(world, options)?;
    extras.runtimes = runtimes(world, options)?;
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

/// Measures the rate of opaque bytes in megabytes a second.
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

/// Two proxies in alternation, and how much more CPU per request the other takes.
fn ratio(
    options: &Options,
    usual: impl Fn() -> anyhow::Result<Seen>,
    other: impl Fn() -> anyhow::Result<Seen>,
) -> anyhow::Result<f64> {
    // Every endpoint and every destination has been called.
    usual()?;
    other()?;
    let (mut one, mut two) = (Vec::new(), Vec::new());
    for _ in 0..options.rounds {
        one.push(usual()?);
        two.push(other()?);
    }
    let cpu = |seen: &Seen| seen.cpu;
    Ok(median(&two, cpu) / median(&one, cpu))
}

fn growth(world: &World, options: &Options) -> anyhow::Result<Vec<(Growth, f64)>> {
    let seconds = options.seconds;
    let usually = |proxy: &Proxy| rounds::measure(world, proxy, USUAL, seconds);
    let mut growth = Vec::new();
    let usual = start_ours(world, &Ours::default(), &[])?;
    let bare = floor(world, Threads::Own(1), 3, &[])?;
    for what in Growth::ALL {
        eprintln!("{}", what.name());
        let ratio = match what {
            Growth::Routes | Growth::Endpoints => {
                let ours = match what {
                    Growth::Routes => Ours {
                        routes: 10_000,
                        ..Ours::default()
                    },
                    _ => Ours {
                        endpoints: MANY,
                        ..Ours::default()
                    },
                };
                let larger = start_ours(world, &ours, &[])?;
                ratio(options, || usually(&usual), || usually(&larger))?
            }
            Growth::BareEndpoints => {
                let larger = floor(world, Threads::Own(1), MANY, &[])?;
                ratio(options, || usually(&bare), || usually(&larger))?
            }
            Growth::Destinations | Growth::OtherDestinations => {
                let (few, many) = (outbound(world)?, outbound(world)?);
                let all = world.addresses(1_000);
                let under = |proxy: &Proxy, hosts: &[String]| {
                    let port = proxy.port(USUAL);
                    rounds::under(proxy, || load::hosts(&world.tools, port, hosts, seconds))
                };
                under(&many, &all)?;
                let asked = match what {
                    Growth::Destinations => &all[..],
                    _ => &all[..3],
                };
                ratio(options, || under(&few, &all[..3]), || under(&many, asked))?
            }
        };
        growth.push((what, ratio));
    }
    Ok(growth)
}

/// Each way to use two threads, its CPU per request and its requests per second.
fn runtimes(world: &World, options: &Options) -> anyhow::Result<Vec<(&'static str, Seen)>> {
    eprintln!("runtimes");
    let ways = [
        ("one thread", Threads::Own(1)),
        ("two threads, a runtime each", Threads::Own(2)),
        ("two threads that share one runtime", Threads::Shared(2)),
    ];
    let start = |(name, threads)| anyhow::Ok((name, floor(world, threads, 3, &[])?, Vec::new()));
    let mut all: Vec<_> = ways.into_iter().map(start).collect::<Result<_, _>>()?;
    for _ in 0..options.rounds {
        for (_, proxy, seen) in &mut all {
            seen.push(rounds::measure(world, proxy, USUAL, options.seconds)?);
        }
    }
    let medians = |(name, _, seen): (_, _, Vec<_>)| (name, rounds::medians(&seen));
    Ok(all.into_iter().map(medians).collect())
}
