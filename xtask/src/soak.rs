//! An hour of booksapp: resident memory of each process at minute 10 and at the end, and whether
//! every replica had its share of the requests all the time.

use anyhow::{Context, bail};
use std::{
    collections::BTreeMap,
    fs,
    process::{Child, Command},
    thread,
    time::Duration,
};

/// How much a process may grow from its tenth minute to the end.
const GROWTH: f64 = 1.05;

/// Growth below this is the granularity of pages and allocators, not a leak.
const GRAIN_KIB: u64 = 256;

pub(crate) fn run(minutes: u64) -> anyhow::Result<()> {
    let build = ["build", "--release", "--package", "mesh-cli"];
    if !Command::new(env!("CARGO")).args(build).status()?.success() {
        bail!("cannot build mesh");
    }
    let mut up = Command::new("target/release/mesh")
        .args(["up", "examples/booksapp"])
        .spawn()?;
    let soak = watch(&up, minutes);
    let pid = up.id().to_string();
    let _ = Command::new("kill").args(["-INT", &pid]).status();
    let _ = up.wait();
    report(soak?)
}

struct Soak {
    /// `(minute, what runs -> KiB)`, once a minute.
    readings: Vec<(u64, BTreeMap<String, u64>)>,
    /// Replicas without a request for a minute, and when.
    starved: Vec<String>,
}

fn watch(up: &Child, minutes: u64) -> anyhow::Result<Soak> {
    let mut readings = Vec::new();
    let mut starved = Vec::new();
    for minute in 1..=minutes {
        thread::sleep(Duration::from_secs(60));
        let now = processes(up.id()).context("mesh up ended early")?;
        for (name, kib) in &now {
            println!("minute {minute:3}  {kib:8} KiB  {name}");
        }
        let stat = stat().with_context(|| format!("minute {minute}"))?;
        if let Some(row) = stat.lines().find(|line| starves(line)) {
            starved.push(format!("minute {minute}: {row}"));
        }
        println!("{stat}");
        readings.push((minute, now));
    }
    Ok(Soak { readings, starved })
}

/// The last minute of every replica.
fn stat() -> anyhow::Result<String> {
    let out = Command::new(fs::canonicalize("target/release/mesh")?)
        .args(["stat", "po", "-t", "1m"])
        .current_dir("examples/booksapp")
        .output()?;
    if !out.status.success() {
        bail!("mesh stat: {}", String::from_utf8_lossy(&out.stderr));
    }
    Ok(String::from_utf8(out.stdout)?)
}

/// Whether a row of the table is of a replica that serves and has no success rate.
fn starves(row: &str) -> bool {
    let mut columns = row.split_whitespace();
    let name = columns.next().unwrap_or_default();
    name != "NAME" && !name.starts_with("traffic") && columns.nth(1) == Some("-")
}

fn report(Soak { readings, starved }: Soak) -> anyhow::Result<()> {
    let [first, .., last] = &readings[readings.len().min(10).saturating_sub(1)..] else {
        bail!("the soak needs more than ten minutes to say anything");
    };
    println!("\nfrom minute {} to minute {}:", first.0, last.0);
    let mut wrong = starved;
    for (name, end) in &last.1 {
        let Some(start) = first.1.get(name) else {
            wrong.push(format!("{name} was restarted"));
            continue;
        };
        let ratio = *end as f64 / *start as f64;
        println!("{start:8} -> {end:8} KiB  {ratio:.3}  {name}");
        if ratio > GROWTH && end - start > GRAIN_KIB {
            wrong.push(format!("{name} grew {ratio:.3} times"));
        }
    }
    if wrong.is_empty() {
        Ok(())
    } else {
        bail!("{}", wrong.join("; "))
    }
}

/// The processes below `root`, each by pid and command line, with their resident memory.
fn processes(root: u32) -> anyhow::Result<BTreeMap<String, u64>> {
    let mut parents = BTreeMap::new();
    for entry in fs::read_dir("/proc")? {
        let Some(pid) = entry?
            .file_name()
            .to_str()
            .and_then(|name| name.parse::<u32>().ok())
        else {
            continue;
        };
        // A process may end while it is looked at.
        if let Ok(stat) = fs::read_to_string(format!("/proc/{pid}/stat"))
            && let Some(parent) = stat
                .rsplit(')')
                .next()
                .and_then(|rest| rest.split_whitespace().nth(1))
        {
            parents.insert(pid, parent.parse::<u32>().unwrap_or_default());
        }
    }
    let below = |mut pid: u32| loop {
        match parents.get(&pid) {
            _ if pid == root => return true,
            Some(parent) => pid = *parent,
            None => return false,
        }
    };
    let found = parents
        .keys()
        .copied()
        .filter(|pid| below(*pid))
        .filter_map(|pid| {
            let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
            let kib = status
                .lines()
                .find_map(|line| line.strip_prefix("VmRSS:"))?
                .trim()
                .strip_suffix(" kB")?;
            let command = fs::read_to_string(format!("/proc/{pid}/cmdline"))
                .ok()?
                .replace('\0', " ");
            let command: String = command.chars().take(90).collect();
            Some((format!("{pid} {command}"), kib.trim().parse().ok()?))
        });
    let found: BTreeMap<_, _> = found.collect();
    if found.is_empty() {
        bail!("no process {root}")
    } else {
        Ok(found)
    }
}
