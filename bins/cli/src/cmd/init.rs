//! `mesh init`: the rules of a firewall.

use anyhow::Result;
use std::process::ExitCode;

/// Redirect the connections of this network namespace to a sidecar, as `mesh-init` does
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  mesh init --dry-run --proxy-uid 2102")]
pub(crate) struct Args {
    #[command(flatten)]
    init: mesh_init::Args,
}

pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    mesh_init::run(&args.init)?;
    Ok(ExitCode::SUCCESS)
}
