//! `mesh version`.

use crate::args::Global;
use anyhow::Result;
use std::process::ExitCode;

/// Print the versions of the client and of the running mesh
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  mesh version")]
pub(crate) struct Args {}

pub(crate) async fn run(_: Args, _: &Global) -> Result<ExitCode> {
    anyhow::bail!("mesh version is not written yet")
}
