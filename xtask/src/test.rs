//! What every change must pass, fastest first.

use anyhow::{Context, bail};
use std::{
    process::Command,
    time::{Duration, SystemTime},
};

/// The crates that people add to programs of their own, and how many crates each may bring along.
const BILLS: [(&str, usize); 8] = [
    ("mesh-split", 2 + 2),
    ("mesh-sdk-core", 3 + 2),
    ("mesh-conformance", 5 + 2),
    ("mesh-balance", 7 + 2),
    ("mesh-timeout", 8 + 2),
    ("mesh-tap", 8 + 2),
    ("mesh-retry", 9 + 2),
    ("mesh-profile", 20 + 2),
];

pub(crate) fn run() -> anyhow::Result<()> {
    let mut took = Vec::new();
    let mut step = |name: &'static str, work: &dyn Fn() -> anyhow::Result<()>| {
        eprintln!("\n=== {name}");
        let started = SystemTime::now();
        let result = work().with_context(|| format!("`{name}` failed"));
        took.push((name, started.elapsed().unwrap_or_default()));
        result
    };
    step("format", &|| cargo(&["fmt", "--all", "--check"]))?;
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
    step("bills", &bills)?;
    step("docs", &|| {
        run_with(
            &["doc", "--workspace", "--no-deps", "--all-features"],
            &[("RUSTDOCFLAGS", "-D warnings")],
        )
    })?;
    step("loom", &loom)?;
    step("programs", &|| cargo(&["build", "--package", "booksapp"]))?;
    step("tests", &|| {
        cargo(&["test", "--workspace", "--all-features"])
    })?;
    eprintln!("\n=== all passed");
    for (name, time) in took {
        eprintln!("{name:10} {}", minutes(time));
    }
    Ok(())
}

/// Every feature of every library compiles alone.
fn features() -> anyhow::Result<()> {
    for (package, features) in [
        (
            "mesh-profile",
            &["", "serde", "yaml", "openapi", "proto", "prometheus"][..],
        ),
        ("mesh-tap", &["", "serde"]),
        ("mesh-discover", &["", "control", "file"]),
    ] {
        for feature in features {
            cargo(&[
                "check",
                "--quiet",
                "--package",
                package,
                "--no-default-features",
                "--features",
                feature,
            ])?;
        }
    }
    Ok(())
}

/// What each library brings along is no more than was promised.
fn bills() -> anyhow::Result<()> {
    let mut over = Vec::new();
    for (package, most) in BILLS {
        let output = Command::new(env!("CARGO"))
            .args([
                "tree",
                "--package",
                package,
                "--edges",
                "normal",
                "--prefix",
                "none",
                "--no-dedupe",
            ])
            .args(["--format", "{p}"])
            .output()?;
        if !output.status.success() {
            bail!("cargo tree: {}", String::from_utf8_lossy(&output.stderr));
        }
        let tree = String::from_utf8(output.stdout)?;
        let mut crates: Vec<_> = tree
            .lines()
            .filter_map(|line| line.split_whitespace().next())
            .collect();
        crates.sort_unstable();
        crates.dedup();
        let bill = crates.len() - 1;
        println!("{package:15} {bill:2} of {most}: {}", crates.join(" "));
        if bill > most {
            over.push(package);
        }
    }
    if over.is_empty() {
        Ok(())
    } else {
        bail!("too many dependencies: {}", over.join(", "))
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

fn cargo(arguments: &[&str]) -> anyhow::Result<()> {
    run_with(arguments, &[])
}

fn run_with(arguments: &[&str], environment: &[(&str, &str)]) -> anyhow::Result<()> {
    let status = Command::new(env!("CARGO"))
        .args(arguments)
        .envs(environment.iter().copied())
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
