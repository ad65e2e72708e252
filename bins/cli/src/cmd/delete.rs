//! `mesh delete`.

use crate::args::Global;
use anyhow::Result;
use std::process::ExitCode;

/// Delete resources
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  mesh delete sp/books")]
pub(crate) struct Args {}

pub(crate) async fn run(_: Args, _: &Global) -> Result<ExitCode> {
    anyhow::bail!("mesh delete is not written yet")
}
