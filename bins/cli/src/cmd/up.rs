//! `mesh up`.

use crate::args::Global;
use anyhow::Result;
use std::process::ExitCode;

/// Start the workloads of a mesh.yaml, each with its sidecar
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  mesh up examples/booksapp")]
pub(crate) struct Args {}

pub(crate) async fn run(_: Args, _: &Global) -> Result<ExitCode> {
    anyhow::bail!("mesh up is not written yet")
}
