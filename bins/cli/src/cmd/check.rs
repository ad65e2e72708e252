//! `mesh check`.

use crate::args::Global;
use anyhow::Result;
use std::process::ExitCode;

/// Check that the mesh is well
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  mesh check")]
pub(crate) struct Args {}

pub(crate) async fn run(_: Args, _: &Global) -> Result<ExitCode> {
    anyhow::bail!("mesh check is not written yet")
}
