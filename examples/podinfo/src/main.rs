//! The canary demo: a web service whose version, errors and delays are set from outside, and a load
//! tester that answers the webhooks of a Canary.
//!
//! Paths and flags are those of the `podinfo` program that canary tutorials use, so that their
//! manifests apply as they are.

mod faults;
mod health;
mod info;
mod load_tester;
mod metrics;
mod serve;
mod store;
mod token;

use clap::{Parser, Subcommand};
use std::process::ExitCode;

#[derive(Debug, Parser)]
#[command(version, about = "The canary demo: a web service and its load tester")]
struct Args {
    #[command(subcommand)]
    program: Program,
}

#[derive(Debug, Subcommand)]
enum Program {
    /// The web service
    Serve(serve::Args),
    /// Runs the commands of Canary webhooks, and keeps their gates
    LoadTester(load_tester::Args),
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let result = match Args::parse().program {
        Program::Serve(args) => serve::run(args).await,
        Program::LoadTester(args) => load_tester::run(args).await,
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
