//! `mesh run`.

use crate::args::Global;
use anyhow::Result;
use std::process::ExitCode;

/// Mesh one command ad hoc into the running mesh
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  mesh run --name web --port 8080 -- python3 -m http.server")]
pub(crate) struct Args {}

pub(crate) async fn run(_: Args, _: &Global) -> Result<ExitCode> {
    anyhow::bail!("mesh run is not written yet")
}
