//! The checks that every change must pass, fastest first.

use crate::{
    fuzz, instructions, libraries, packages, process::cpu_of_children, properties, protocols,
    readmes, skips, soak, tool,
};
use anyhow::{Context, bail};
use std::{
    process::Command,
    time::{Duration, SystemTime},
};

/// Selects the features with which `cargo test --workspace --all-features` compiles everything.
///
/// The example makes cargo count features of dev-dependencies, too. Whatever is built with these
/// arguments shares all dependencies with the tests.
pub(crate) const TESTED: [&str; 4] = ["--workspace", "--all-features", "--example", "answer"];

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
    step("asking commands", &libraries::asking_commands)?;
    step("docs", &|| {
        readmes::run()?;
        let doc = [&["doc", "--no-deps", "--lib", "--bins"], &TESTED[..]].concat();
        run_with(&doc, &[("RUSTDOCFLAGS", "-D warnings")])
    })?;
    step("instructions", &|| instructions::run(false))?;
    step("programs", &|| {
        let programs = [
            "build",
            "--bin",
            "booksapp",
            "--bin",
            "emojivoto",
            "--bin",
            "podinfo",
        ];
        cargo(&[&programs, &TESTED[..]].concat())
    })?;
    step("loom", &|| simulate("loom", &[]))?;
    step("chain", &|| {
        simulate("chain", &[("MESH_CHAIN_SEEDS", "1000")])
    })?;
    step("sequential", &|| {
        simulate("sequential", &[("MESH_CANARY_SEEDS", "1000")])
    })?;
    step("canary states", &|| {
        simulate("explore", &[("MESH_CANARY_STATES", "all")])
    })?;
    step("tests", &|| {
        let (name, seed) = properties::seed();
        run_with(&["test", "--workspace", "--all-features"], &[(name, &seed)])
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
        eprintln!("{name:15} {:>10} {cpu:6} s of CPU", minutes(time));
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

/// Runs one test program of the workspace as `cargo test` builds it, with more to do.
fn simulate(test: &str, environment: &[(&str, &str)]) -> anyhow::Result<()> {
    let arguments = ["test", "--workspace", "--all-features", "--test", test];
    let one_by_one = ["--", "--nocapture", "--test-threads", "1"];
    run_with(&[&arguments[..], &one_by_one].concat(), environment)
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
