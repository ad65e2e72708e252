//! `mesh profile`.

use crate::args::Global;
use anyhow::Result;
use std::process::ExitCode;

/// Being written.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  mesh profile --open-api books.swagger books")]
pub(crate) struct Args {
    /// The service the profile is for.
    name: String,
}

pub(crate) fn run(args: Args, _: &Global) -> Result<ExitCode> {
    anyhow::bail!("mesh profile {} is not written yet", args.name)
}
