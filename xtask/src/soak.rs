//! An hour of booksapp: resident memory of each process at minute 10 and at the end, and whether
//! every replica had its share of the requests all the time.

use crate::{
    process::{self, MESH, Memory},
    test::run_with,
};
use anyhow::{Context, bail};
use std::{
    collections::BTreeMap,
    fs,
    process::{Child, Command},
    thread,
    time::Duration,
};

/// Factor by which a process may grow from its tenth minute to the end.
const GROWTH: f64 = 1.05;

/// Growth below this is the granularity of pages and allocators, not a leak.
const GRAIN_KIB: u64 = 256;

/// Rolling restarts at 2,000 requests a second, none of which may fail: the test of CI, but longer
/// and of the release build.
pub(crate) fn restarts(number: u64) -> anyhow::Result<()> {
    let mesh = process::build_release()?.join("mesh");
    let test = ["test", "--workspace", "--all-features"];
    let restarts = ["--test", "restarts", "--", "--nocapture"];
    let environment = [
        ("MESH_PROGRAM", mesh.to_string_lossy()),
        ("MESH_RATE", "2000".into()),
        ("MESH_RESTARTS", number.to_string().into()),
    ];
    let environment = environment
        .each_ref()
        .map(|(name, value)| (*name, &**value));
    run_with(&[&test[..], &restarts].concat(), &environment)
}

pub(crate) fn run(minutes: u64) -> anyhow::Result<()> {
    process::build()?;
    let mut up = Command::new(MESH)
        .args(["up", "examples/booksapp"])
        .spawn()?;
    let soak = watch(&up, minutes);
    process::interrupt(&mut up)?;
    report(soak?)
}

struct Soak {
    /// The minute, and what runs, once a minute.
    readings: Vec<(u64, BTreeMap<String, Memory>)>,
    /// Replicas without a request for a minute, and when.
    starved: Vec<String>,
}

fn watch(up: &Child, minutes: u64) -> anyhow::Result<Soak> {
    let mut readings = Vec::new();
    let mut starved = Vec::new();
    for minute in 1..=minutes {
        thread::sleep(Duration::from_secs(60));
        let now = process::tree(up.id()).context("mesh up ended early")?;
        for (name, Memory { all, anonymous }) in &now {
            println!("minute {minute:3}  {all:8} KiB, {anonymous:6} of its own  {name}");
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
    let out = Command::new(fs::canonicalize(MESH)?)
        .args(["stat", "po", "-t", "1m"])
        .current_dir("examples/booksapp")
        .output()?;
    if !out.status.success() {
        bail!("mesh stat: {}", String::from_utf8_lossy(&out.stderr));
    }
    Ok(String::from_utf8(out.stdout)?)
}

/// Returns true for a row of a serving replica without a success rate.
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
        let ratio = end.all as f64 / start.all as f64;
        println!(
            "{:8} -> {:8} KiB  {ratio:.3}, {:6} -> {:6} of its own  {name}",
            start.all, end.all, start.anonymous, end.anonymous
        );
        if ratio > GROWTH && end.all - start.all > GRAIN_KIB {
            wrong.push(format!("{name} grew {ratio:.3} times"));
        }
    }
    if wrong.is_empty() {
        Ok(())
    } else {
        bail!("{}", wrong.join("; "))
    }
}
