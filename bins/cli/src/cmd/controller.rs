//! `mesh controller`: the control plane.

use anyhow::Result;
use clap::Parser;
use std::{ffi::OsString, process::ExitCode};

/// Run the control plane in the foreground, as `mesh-controller` does
#[derive(Debug, clap::Args)]
#[command(
    disable_help_flag = true,
    after_help = "Example:\n  mesh controller --state-dir .mesh"
)]
pub(crate) struct Args {
    /// The arguments of the controller; `mesh controller --help` has them
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    rest: Vec<OsString>,
}

#[derive(Parser)]
#[command(
    name = "mesh controller",
    about = "Run the control plane in the foreground, as `mesh-controller` does",
    long_about = None,
    after_help = "Example:\n  mesh controller --state-dir .mesh"
)]
struct Program {
    #[command(flatten)]
    controller: mesh_controller::Args,
}

pub(crate) fn run(args: Args) -> Result<ExitCode> {
    let name = OsString::from("mesh controller");
    let program = Program::parse_from([name].into_iter().chain(args.rest));
    mesh_controller::start(program.controller)?;
    Ok(ExitCode::SUCCESS)
}
