//! `mesh edit`.

use crate::args::Global;
use anyhow::Result;
use std::process::ExitCode;

/// Edit a resource in $EDITOR
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  mesh edit sp/books")]
pub(crate) struct Args {}

pub(crate) async fn run(_: Args, _: &Global) -> Result<ExitCode> {
    anyhow::bail!("mesh edit is not written yet")
}
