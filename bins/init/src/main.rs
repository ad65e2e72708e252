//! `mesh-init`: redirects the connections of this network namespace to a sidecar.

use clap::Parser;
use std::process::ExitCode;

/// Redirect the connections of this network namespace to a sidecar
#[derive(Debug, Parser)]
#[command(
    name = "mesh-init",
    version,
    after_help = "Example:\n  mesh-init --dry-run --proxy-uid 2102"
)]
struct Program {
    #[command(flatten)]
    args: mesh_init::Args,
}

fn main() -> ExitCode {
    match mesh_init::run(&Program::parse().args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("Error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
