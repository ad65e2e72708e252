//! `mesh ps`.

use crate::args::Global;
use anyhow::Result;
use std::process::ExitCode;

/// List the processes of the running mesh
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  mesh ps")]
pub(crate) struct Args {}

pub(crate) async fn run(_: Args, _: &Global) -> Result<ExitCode> {
    anyhow::bail!("mesh ps is not written yet")
}
