//! The table, and where it is kept.

use crate::{
    Options,
    extras::Extras,
    peers::Peer,
    plot, reach,
    rounds::{Results, Seen},
    scenario::{Load, SCENARIOS},
    setup::World,
};
use std::{fmt::Write as _, fs, process::Command};

const FOLDER: &str = "benches/results";

/// Everything as Markdown.
pub(crate) fn table(
    world: &World,
    results: &Results,
    extras: &Extras,
    options: &Options,
) -> anyhow::Result<String> {
    let mut out = String::from("# The sidecar beside its peers\n\n");
    writeln!(
        out,
        "`cargo run --release -p mesh-bench-proxy`: every proxy in turn, {} rounds of {} s, medians. \
         Only ratios within this table mean anything.\n",
        options.rounds, options.seconds
    )?;
    machine(&mut out, world)?;
    if options.only.is_none() {
        reach::table(&mut out, results, extras)?;
    }
    for (number, scenario) in SCENARIOS.iter().enumerate() {
        let seen: Vec<(Peer, Seen)> = Peer::ALL
            .iter()
            .filter_map(|peer| Some((*peer, *results.seen.get(&(number, *peer))?)))
            .collect();
        let Some((_, ours)) = seen.first() else {
            continue;
        };
        writeln!(out, "\n## {}\n", scenario.name)?;
        out.push_str(
            "| | CPU us/request | mesh to it | requests/s | p50 us | p99 us | p99.9 us | MB |\n",
        );
        out.push_str("|---|---:|---:|---:|---:|---:|---:|---:|\n");
        for (peer, seen) in &seen {
            writeln!(
                out,
                "| {} | {:.1} | {:.2} | {:.0} | {:.0} | {:.0} | {:.0} | {:.1} |",
                peer.name(),
                seen.cpu,
                ours.cpu / seen.cpu,
                seen.per_second,
                seen.p50,
                seen.p99,
                seen.p999,
                seen.resident * 1024.0 / 1e6,
            )?;
        }
        if let Load::Rate { .. } = scenario.load {
            let (p50, p99) = results.direct;
            writeln!(out, "\nWithout a proxy: p50 {p50:.0} us, p99 {p99:.0} us.")?;
        }
    }
    more(&mut out, results, extras)?;
    Ok(out)
}

fn machine(out: &mut String, world: &World) -> anyhow::Result<()> {
    let cpu = fs::read_to_string("/proc/cpuinfo")?;
    let model = cpu.lines().find_map(|line| line.strip_prefix("model name"));
    let model = model
        .unwrap_or_default()
        .trim_start_matches(['\t', ' ', ':']);
    let cores = cpu
        .lines()
        .filter(|line| line.starts_with("processor"))
        .count();
    // The build name of a distribution does not describe the kernel.
    let system = said("uname", &["-sr"]);
    let system = system.split('-').next().unwrap_or_default();
    writeln!(out, "{cores} x {model}, {system}")?;
    let envoy = world.tools.envoy.display().to_string();
    for (program, args) in [
        ("rustc", &["--version"][..]),
        ("/usr/sbin/nginx", &["-v"]),
        ("/usr/sbin/haproxy", &["-v"]),
        (&envoy, &["--version"]),
        ("wrk", &["-v"]),
        ("h2load", &["--version"]),
    ] {
        writeln!(out, "- {}", said(program, args))?;
    }
    Ok(())
}

/// The first line that a program says of itself.
fn said(program: &str, args: &[&str]) -> String {
    let Ok(output) = Command::new(program).args(args).output() else {
        return format!("{program}: unknown");
    };
    let text = [output.stdout, output.stderr].concat();
    let text = String::from_utf8_lossy(&text);
    let line = text.lines().find(|line| !line.trim().is_empty());
    // Paths of this machine stay out of the report.
    let words = line.unwrap_or_default().split_whitespace();
    let words: Vec<_> = words.filter(|word| !word.starts_with('/')).collect();
    words.join(" ")
}

fn more(out: &mut String, results: &Results, extras: &Extras) -> anyhow::Result<()> {
    out.push_str("\n## One process\n\n");
    out.push_str("| | idle MB | ready after ms | system calls/request | allocations/request | 1,000 idle connections MB |\n");
    out.push_str("|---|---:|---:|---:|---:|---:|\n");
    for (peer, idle) in &results.idle {
        let figure = |of: &std::collections::BTreeMap<Peer, f64>, scale: f64| {
            of.get(peer)
                .map_or("-".to_owned(), |it| format!("{:.1}", it * scale))
        };
        writeln!(
            out,
            "| {} | {:.1} | {} | {} | {} | {} |",
            peer.name(),
            *idle as f64 * 1024.0 / 1e6,
            figure(&extras.ready, 1.0),
            figure(&extras.calls, 1.0),
            figure(&extras.allocations, 1.0),
            figure(&extras.idle, 1024.0 / 1e6),
        )?;
    }
    for (peer, rate) in &extras.opaque {
        writeln!(
            out,
            "\nBytes that are no HTTP, {}: {rate:.0} MB/s.",
            peer.name()
        )?;
    }
    if !extras.growth.is_empty() {
        out.push_str("\n## A larger mesh\n\n| with | times the CPU per request |\n|---|---:|\n");
    }
    for (what, ratio) in &extras.growth {
        writeln!(out, "| {} | {ratio:.2} |", what.name())?;
    }
    if !extras.runtimes.is_empty() {
        out.push_str(
            "\n## Runtimes\n\nThe bare hyper proxy, HTTP/1.1 over 64 connections.\n\n\
             | | CPU us/request | requests/s | p99 us |\n|---|---:|---:|---:|\n",
        );
    }
    for (name, seen) in &extras.runtimes {
        let Seen {
            cpu,
            per_second,
            p99,
            ..
        } = seen;
        writeln!(out, "| {name} | {cpu:.1} | {per_second:.0} | {p99:.0} |")?;
    }
    Ok(())
}

/// Keeps the table and the plots.
pub(crate) fn write(table: &str, results: &Results) -> anyhow::Result<()> {
    fs::create_dir_all(FOLDER)?;
    fs::write(format!("{FOLDER}/README.md"), table)?;
    plot::bars(
        &format!("{FOLDER}/cpu.svg"),
        "CPU per request, microseconds",
        results,
        |seen| seen.cpu,
    )?;
    plot::bars(
        &format!("{FOLDER}/p99.svg"),
        "99th percentile of latency, microseconds",
        results,
        |seen| seen.p99,
    )
}
