//! Every peer in every scenario, in turn, several times; what counts is the median.

use crate::{
    Options, load, measure,
    peers::{Peer, Proxy},
    scenario::SCENARIOS,
    setup::World,
};
use std::{collections::BTreeMap, thread, time::Duration};

/// Samples of a peer in a scenario.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Seen {
    /// Of the proxy's CPU, in microseconds, per request.
    pub(crate) cpu: f64,
    pub(crate) per_second: f64,
    /// Microseconds.
    pub(crate) p50: f64,
    pub(crate) p99: f64,
    pub(crate) p999: f64,
    /// Resident memory under load, in KiB.
    pub(crate) resident: f64,
}

/// Medians by scenario and peer; and each peer's memory before any load, in KiB.
#[derive(Debug, Default)]
pub(crate) struct Results {
    pub(crate) seen: BTreeMap<(usize, Peer), Seen>,
    pub(crate) idle: BTreeMap<Peer, u64>,
    /// Microseconds without any proxy at the fixed rate: median and 99th percentile.
    pub(crate) direct: (f64, f64),
}

pub(crate) fn run(world: &World, options: &Options) -> anyhow::Result<Results> {
    let mut results = Results::default();
    let mut proxies: Vec<(Peer, Proxy)> = Vec::new();
    for peer in Peer::ALL {
        let proxy = peer.start(world, &[])?;
        thread::sleep(Duration::from_millis(500));
        let idle = measure::resident(&proxy.pids())?;
        results.idle.insert(peer, idle);
        proxies.push((peer, proxy));
    }
    let mut all: BTreeMap<(usize, Peer), Vec<Seen>> = BTreeMap::new();
    let mut direct = Vec::new();
    for round in 0..options.rounds {
        for (number, scenario) in SCENARIOS.iter().enumerate() {
            if options
                .only
                .as_ref()
                .is_some_and(|only| !scenario.name.contains(only))
            {
                continue;
            }
            eprintln!(
                "round {} of {}: {}",
                round + 1,
                options.rounds,
                scenario.name
            );
            // Each round begins with another proxy.
            let first = round % proxies.len();
            for (peer, proxy) in proxies[first..].iter().chain(&proxies[..first]) {
                let seen =
                    measure(world, proxy, scenario.load, options.seconds).map_err(|error| {
                        error.context(format!("{}, {}", peer.name(), scenario.name))
                    })?;
                all.entry((number, *peer)).or_default().push(seen);
            }
            if let load::Load::Rate { .. } = scenario.load {
                let port = world.backends[0];
                let outcome = load::run(&world.tools, port, scenario.load, options.seconds)?;
                direct.push(Seen {
                    p50: outcome.p50,
                    p99: outcome.p99,
                    ..Seen::default()
                });
            }
        }
    }
    results.direct = (
        median(&direct, |seen| seen.p50),
        median(&direct, |seen| seen.p99),
    );
    results.seen = all
        .into_iter()
        .map(|(key, seen)| (key, medians(&seen)))
        .collect();
    Ok(results)
}

/// Puts a load on a proxy once.
pub(crate) fn measure(
    world: &World,
    proxy: &Proxy,
    load: load::Load,
    seconds: u64,
) -> anyhow::Result<Seen> {
    under(proxy, || {
        load::run(&world.tools, proxy.port(load), load, seconds)
    })
}

/// Measures a proxy while it is under a load.
pub(crate) fn under(
    proxy: &Proxy,
    load: impl FnOnce() -> anyhow::Result<load::Outcome>,
) -> anyhow::Result<Seen> {
    let pids = proxy.pids();
    let before = measure::cpu(&pids)?;
    let outcome = load()?;
    let spent = measure::cpu(&pids)? - before;
    Ok(Seen {
        cpu: spent as f64 / 1e3 / outcome.requests as f64,
        per_second: outcome.requests as f64 / outcome.seconds,
        p50: outcome.p50,
        p99: outcome.p99,
        p999: outcome.p999,
        resident: measure::resident(&pids)? as f64,
    })
}

pub(crate) fn medians(seen: &[Seen]) -> Seen {
    Seen {
        cpu: median(seen, |seen| seen.cpu),
        per_second: median(seen, |seen| seen.per_second),
        p50: median(seen, |seen| seen.p50),
        p99: median(seen, |seen| seen.p99),
        p999: median(seen, |seen| seen.p999),
        resident: median(seen, |seen| seen.resident),
    }
}

/// The middle one of the figures that `of` takes; zero of none.
pub(crate) fn median(seen: &[Seen], of: impl Fn(&Seen) -> f64) -> f64 {
    let mut figures: Vec<f64> = seen.iter().map(of).collect();
    figures.sort_by(f64::total_cmp);
    figures.get(figures.len() / 2).copied().unwrap_or_default()
}
