//! `mesh logs`.

use crate::args::Global;
use anyhow::Result;
use std::process::ExitCode;

/// Print the logs of the workloads
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  mesh logs -f authors")]
pub(crate) struct Args {}

pub(crate) async fn run(_: Args, _: &Global) -> Result<ExitCode> {
    anyhow::bail!("mesh logs is not written yet")
}
