//! The checks that every change must pass, fastest first.

use crate::{
    fuzz, instructions, libraries, packages, process::cpu_of_children, protocols, skips, soak, tool,
};
use anyhow::{Context, bail};
use std::{
    process::Command,
    time::{Duration, SystemTime},
};

/// Runs all steps, or `only` one.
pub(crate) fn run(only: Option<&str>) -> anyhow::Result<()> {
    skips::forget()?;
    let result = steps(only);
    // Of a run that failed, too: what was skipped may be why.
    skips::list();
    result
}

fn steps(only: Option<&str>) -> anyhow::Result<()> {
    let mut took = Vec::new();
    let mut step = |name: &'static str, work: &dyn Fn() -> anyhow::Result<()>| {
        if only.is_some_and(|only| only != name) {
            return Ok(());
        }
        eprintln!("\n=== {name}");
        let (started, cpu) = (SystemTime::now(), cpu_of_children()?);
        let result = work().with_context(|| format!("`{name}` failed"));
        let time = started.elapsed().unwrap_or_default();
        took.push((name, time, cpu_of_children()?.saturating_sub(cpu)));
        result
    };
    step("format", &|| {
        cargo(&["fmt", "--all", "--check"])?;
        cargo(&["fmt", "--manifest-path", "fuzz/Cargo.toml", "--check"])
    })?;
    step("lints", &|| {
        cargo(&[
            "clippy",
            "--workspace",
            "--all-targets",
            "--all-features",
            "--",
            "-D",
            "warnings",
        ])
    })?;
    step("features", &features)?;
    step("bills", &libraries::bills)?;
    step("foreign types", &libraries::foreign_types)?;
    step("one core", &libraries::one_core)?;
    step("docs", &|| {
        run_with(
            &["doc", "--workspace", "--no-deps", "--all-features"],
            &[("RUSTDOCFLAGS", "-D warnings")],
        )
    })?;
    step("loom", &loom)?;
    step("chain", &chain)?;
    step("sequential", &sequential)?;
    step("canary states", &canary_states)?;
    step("instructions", &|| instructions::run(false))?;
    step("programs", &|| {
        cargo(&["build", "--package", "booksapp", "--package", "emojivoto"])
    })?;
    step("tests", &|| {
        cargo(&["test", "--workspace", "--all-features"])
    })?;
    step("restarts", &|| soak::restarts(30))?;
    step("protocols", &protocols::run)?;
    step("packages", &packages::run)?;
    step("deny", &deny)?;
    step("fuzz", &|| {
        fuzz::run(fuzz::Scope::Libraries, Duration::from_secs(30))
    })?;
    if took.is_empty() {
        bail!("no step is called {:?}", only.unwrap_or_default());
    }
    eprintln!("\n=== all passed (CPU: user and system time of every program that a step ran)");
    let cpu = took.iter().map(|(.., cpu)| *cpu).sum();
    let time = took.iter().map(|(_, time, _)| *time).sum();
    for (name, time, cpu) in took.into_iter().chain([("total", time, cpu)]) {
        let cpu = cpu.as_secs();
        eprintln!("{name:14} {:>10} {cpu:6} s of CPU", minutes(time));
    }
    Ok(())
}

/// Every feature compiles alone, and so does what has features without any.
fn features() -> anyhow::Result<()> {
    for (package, features) in libraries::features()? {
        for feature in [""].into_iter().chain(features.iter().map(String::as_str)) {
            println!("{package} with {feature:?} alone");
            cargo(&[
                "check",
                "--quiet",
                "--package",
                &package,
                "--no-default-features",
                "--features",
                feature,
            ])?;
        }
    }
    Ok(())
}

/// Licences, sources and bans of everything that is built, as `deny.toml` has them.
fn deny() -> anyhow::Result<()> {
    let check = ["check", "--hide-inclusion-graph"];
    let status = tool::cargo("deny")?
        .args(check)
        .args(["bans", "licenses", "sources"])
        .status()?;
    if status.success() {
        Ok(())
    } else {
        bail!("cargo deny: {status}")
    }
}

/// Models the lock-free code under every interleaving.
fn loom() -> anyhow::Result<()> {
    let arguments = [
        "test",
        "--package",
        "mesh-retry",
        "--release",
        "--lib",
        "budget::window",
    ];
    run_with(
        &arguments,
        &[
            ("RUSTFLAGS", "--cfg loom"),
            ("CARGO_TARGET_DIR", "target/loom"),
        ],
    )
}

/// Five services in virtual time, a thousand times.
fn chain() -> anyhow::Result<()> {
    let arguments = [
        "test",
        "--profile",
        "simulation",
        "--package",
        "mesh-retry",
        "--test",
        "chain",
        "--",
        "--nocapture",
        "--test-threads",
        "1",
    ];
    run_with(&arguments, &[("MESH_CHAIN_SEEDS", "1000")])
}

/// The sequential test of canaries beside the threshold rule, a thousand times.
fn sequential() -> anyhow::Result<()> {
    let seeds = [("MESH_CANARY_SEEDS", "1000")];
    run_with(&canary_test("sequential"), &seeds)
}

/// Every reachable state of a canary's machine.
fn canary_states() -> anyhow::Result<()> {
    run_with(&canary_test("explore"), &[("MESH_CANARY_STATES", "all")])
}

fn canary_test(name: &'static str) -> [&'static str; 11] {
    [
        "test",
        "--profile",
        "simulation",
        "--package",
        "mesh-canary",
        "--features",
        "serde",
        "--test",
        name,
        "--",
        "--nocapture",
    ]
}

pub(crate) fn cargo(arguments: &[&str]) -> anyhow::Result<()> {
    run_with(arguments, &[])
}

pub(crate) fn run_with(arguments: &[&str], environment: &[(&str, &str)]) -> anyhow::Result<()> {
    let status = Command::new(env!("CARGO"))
        .args(arguments)
        .envs(environment.iter().copied())
        .env(mesh_skips::FILE, skips::file())
        .status()?;
    if status.success() {
        Ok(())
    } else {
        bail!("cargo {}: {status}", arguments.join(" "))
    }
}

fn minutes(time: Duration) -> String {
    format!("{}:{:02} min", time.as_secs() / 60, time.as_secs() % 60)
}
