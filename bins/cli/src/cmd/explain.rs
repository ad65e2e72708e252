//! `mesh explain`.

use crate::args::Global;
use anyhow::Result;
use std::process::ExitCode;

/// Say which destination and route a request gets, and why
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  mesh explain GET http://books:7002/books/1.json")]
pub(crate) struct Args {}

pub(crate) async fn run(_: Args, _: &Global) -> Result<ExitCode> {
    anyhow::bail!("mesh explain is not written yet")
}
