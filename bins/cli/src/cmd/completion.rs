//! `mesh completion`.

use crate::args::Global;
use anyhow::Result;
use std::process::ExitCode;

/// Print a completion script for a shell
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  mesh completion bash > /etc/bash_completion.d/mesh")]
pub(crate) struct Args {}

pub(crate) async fn run(_: Args, _: &Global) -> Result<ExitCode> {
    anyhow::bail!("mesh completion is not written yet")
}
