//! The controller by itself; `mesh controller` is the same.

use clap::Parser;
use mesh_controller::{Args, start};
use std::process::ExitCode;

/// The control plane of a mesh: keeps its resources and tells its sidecars.
#[derive(clap::Parser)]
#[command(
    name = "mesh-controller",
    version,
    long_about = None,
    after_help = "Example:\n  mesh-controller --state-dir .mesh"
)]
struct Program {
    #[command(flatten)]
    args: Args,
}

fn main() -> ExitCode {
    match start(Program::parse().args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::FAILURE
        }
    }
}
