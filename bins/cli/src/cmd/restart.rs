//! `mesh restart`.

use crate::args::Global;
use anyhow::Result;
use std::process::ExitCode;

/// Restart a workload, one replica after the other
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  mesh restart authors")]
pub(crate) struct Args {}

pub(crate) async fn run(_: Args, _: &Global) -> Result<ExitCode> {
    anyhow::bail!("mesh restart is not written yet")
}
