//! `mesh apply`.

use crate::args::Global;
use anyhow::Result;
use std::process::ExitCode;

/// Create or change resources
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  mesh apply -f profiles/")]
pub(crate) struct Args {}

pub(crate) async fn run(_: Args, _: &Global) -> Result<ExitCode> {
    anyhow::bail!("mesh apply is not written yet")
}
