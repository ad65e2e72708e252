//! `mesh down`.

use crate::args::Global;
use anyhow::Result;
use std::process::ExitCode;

/// Stop the running mesh
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  mesh down")]
pub(crate) struct Args {}

pub(crate) async fn run(_: Args, _: &Global) -> Result<ExitCode> {
    anyhow::bail!("mesh down is not written yet")
}
