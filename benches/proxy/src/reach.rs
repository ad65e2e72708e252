//! Targets of the sidecar, compared with the measured figures.

use crate::{
    extras::{Extras, Growth},
    peers::Peer,
    rounds::{Results, Seen},
    scenario::{FIXED_RATE, GRPC, H2C, HTTP1_64, HTTP1_256, LARGE},
};
use std::fmt::Write as _;

/// One line of the table.
struct Reach {
    what: String,
    limit: Limit,
    /// `None` if it was not measured, or if it is too small to be told from noise.
    measured: Option<f64>,
}

type Figure = fn(&Seen) -> f64;

enum Limit {
    AtMost(f64),
    AtLeast(f64),
}

use Limit::{AtLeast, AtMost};

/// Appends a table of everything that is to be reached.
pub(crate) fn table(out: &mut String, results: &Results, extras: &Extras) -> anyhow::Result<()> {
    out.push_str("\n## What was to be reached\n\n| | reach | measured | |\n|---|---:|---:|---|\n");
    for Reach {
        what,
        limit,
        measured,
    } in reaches(results, extras)
    {
        let (limit, is_met) = match limit {
            AtMost(most) => (format!("<= {most}"), measured.map(|it| it <= most)),
            AtLeast(least) => (format!(">= {least}"), measured.map(|it| it >= least)),
        };
        let measured = measured.map_or("-".to_owned(), |it| format!("{it:.2}"));
        let verdict = match is_met {
            Some(true) => "met",
            Some(false) => "**not met**",
            None => "not shown",
        };
        writeln!(out, "| {what} | {limit} | {measured} | {verdict} |")?;
    }
    Ok(())
}

fn reaches(results: &Results, extras: &Extras) -> Vec<Reach> {
    let seen = |scenario: usize, peer: Peer| results.seen.get(&(scenario, peer));
    let to = |scenario: usize, of: Figure, ours: Peer, other: Peer| {
        Some(of(seen(scenario, ours)?) / of(seen(scenario, other)?))
    };
    let cpu: Figure = |seen| seen.cpu;
    let mut all = Vec::new();
    let mut reach = |what: String, limit, measured| {
        all.push(Reach {
            what,
            limit,
            measured,
        })
    };

    for (peer, limit) in [
        (Peer::Nginx, 1.2),
        (Peer::HaProxy, 1.15),
        (Peer::Envoy, 0.45),
    ] {
        let what = format!(
            "HTTP/1.1, 64 connections: CPU per request to {}'s",
            peer.name()
        );
        reach(what, AtMost(limit), to(HTTP1_64, cpu, Peer::Mesh, peer));
    }
    let above = || Some(seen(HTTP1_64, Peer::Mesh)?.cpu - seen(HTTP1_64, Peer::Floor)?.cpu);
    let what = "the same: us above the bare hyper proxy".to_owned();
    reach(what, AtMost(3.0), above());
    for (scenario, name) in [(H2C, "h2c"), (GRPC, "gRPC")] {
        for (peer, limit) in [(Peer::Envoy, 0.5), (Peer::HaProxy, 1.8)] {
            let what = format!("{name}: CPU per request to {}'s", peer.name());
            reach(what, AtMost(limit), to(scenario, cpu, Peer::Mesh, peer));
        }
    }
    for (scenario, name) in [(HTTP1_64, 64), (HTTP1_256, 256)] {
        let what = format!("two workers, {name} connections: CPU per request to one worker's");
        reach(
            what,
            AtMost(1.1),
            to(scenario, cpu, Peer::MeshTwo, Peer::Mesh),
        );
    }

    let (p50, p99) = results.direct;
    let figures: [(&str, Figure, f64); 2] =
        [("p50", |seen| seen.p50, p50), ("p99", |seen| seen.p99, p99)];
    for (name, of, direct) in figures {
        let added = |peer| Some(of(seen(FIXED_RATE, peer)?) - direct).filter(|added| *added > 0.0);
        for (peer, limit) in [(Peer::Nginx, 1.3), (Peer::Envoy, 0.5)] {
            let what = format!("1,000 requests/s: added {name} to {}'s", peer.name());
            let ratio = || Some(added(Peer::Mesh)? / added(peer)?);
            reach(what, AtMost(limit), ratio());
        }
    }

    let rate = |seen: &Seen| seen.per_second;
    let what = "1 MB bodies: bytes/s to nginx's".to_owned();
    reach(what, AtLeast(0.9), to(LARGE, rate, Peer::Mesh, Peer::Nginx));
    let opaque = || Some(extras.opaque.get(&Peer::Mesh)? / extras.opaque.get(&Peer::HaProxy)?);
    let what = "opaque TCP: bytes/s to HAProxy's".to_owned();
    reach(what, AtLeast(0.9), opaque());

    let megabytes = |kib: f64| kib * 1024.0 / 1e6;
    let idle = |peer| results.idle.get(&peer).map(|kib| megabytes(*kib as f64));
    reach(
        "idle, one worker: MB".to_owned(),
        AtMost(10.0),
        idle(Peer::Mesh),
    );
    let further = || Some(idle(Peer::MeshTwo)? - idle(Peer::Mesh)?);
    reach("a further worker: MB".to_owned(), AtMost(3.0), further());
    let connections = extras.idle.get(&Peer::Mesh).map(|kib| megabytes(*kib));
    reach(
        "1,000 idle connections: MB".to_owned(),
        AtMost(14.0),
        connections,
    );
    let ready = extras.ready.get(&Peer::Mesh).copied();
    reach("ready after: ms".to_owned(), AtMost(30.0), ready);
    for (what, ratio) in &extras.growth {
        // The bare proxy is there to tell what is ours.
        if *what != Growth::BareEndpoints {
            let what = format!("{}: times the CPU per request", what.name());
            reach(what, AtMost(1.1), Some(*ratio));
        }
    }
    all
}
