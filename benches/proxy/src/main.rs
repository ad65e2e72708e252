//! The whole sidecar beside its peers, everything on, in one run on one machine.
//!
//! `cargo run --release -p mesh-bench-proxy` installs what it needs (root, Debian), measures every
//! peer in alternation and writes the table and the plots to `benches/results/`. Only ratios within
//! one run mean anything: this is CPU time on a machine that other people may share.

#![allow(
    clippy::disallowed_methods,
    reason = "what a clock on the wall says is the point"
)]

mod backend;
mod extras;
mod floor;
mod load;
mod measure;
mod peers;
mod plot;
mod reach;
mod report;
mod rounds;
mod scenario;
mod setup;

use anyhow::Context as _;
use std::{env, process::ExitCode};

const USAGE: &str = "\
Usage: cargo run --release -p mesh-bench-proxy [-- [--rounds N] [--seconds N] [--only TEXT]]

  --rounds N    times that every peer gets its turn in every scenario (default 5)
  --seconds N   of load each time (default 2)
  --only TEXT   only the scenarios whose name contains it; writes nothing
";

/// Settings of a measurement.
#[derive(Clone, Debug)]
struct Options {
    rounds: usize,
    seconds: u64,
    only: Option<String>,
}

fn main() -> ExitCode {
    let args: Vec<String> = env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let result = match args[..] {
        // The programs that this one starts of itself.
        ["backend", port] => port.parse().context("a port").and_then(backend::run),
        ["floor", port, threads, ref backends @ ..] => floor::run(port, threads, backends),
        _ => match options(&args) {
            Some(options) => run(&options),
            None => {
                eprint!("{USAGE}");
                return ExitCode::from(2);
            }
        },
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn options(args: &[&str]) -> Option<Options> {
    let mut options = Options {
        rounds: 5,
        seconds: 2,
        only: None,
    };
    for pair in args.chunks(2) {
        match pair {
            ["--rounds", n] => options.rounds = n.parse().ok().filter(|n| *n > 0)?,
            ["--seconds", n] => options.seconds = n.parse().ok().filter(|n| *n > 0)?,
            ["--only", text] => options.only = Some((*text).to_owned()),
            _ => return None,
        }
    }
    Some(options)
}

fn run(options: &Options) -> anyhow::Result<()> {
    let tools = setup::install()?;
    let world = setup::World::start(tools)?;
    let results = rounds::run(&world, options)?;
    let extras = extras::run(&world, options)?;
    let text = report::table(&world, &results, &extras, options)?;
    println!("{text}");
    if options.only.is_none() {
        report::write(&text, &results)?;
    }
    Ok(())
}
