//! `mesh get`.

use crate::args::Global;
use anyhow::Result;
use std::process::ExitCode;

/// Print resources
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  mesh get sp")]
pub(crate) struct Args {
    kind: String,
}

pub(crate) async fn run(_: Args, _: &Global) -> Result<ExitCode> {
    anyhow::bail!("mesh get is not written yet")
}
