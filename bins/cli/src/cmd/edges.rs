//! `mesh edges`.

use crate::args::Global;
use anyhow::Result;
use std::process::ExitCode;

/// Being written.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  mesh edges deploy")]
pub(crate) struct Args {
    /// The resources to look at: TYPE, TYPE NAME or TYPE/NAME.
    #[arg(value_name = "RESOURCE")]
    resources: Vec<String>,
}

pub(crate) async fn run(args: Args, _: &Global) -> Result<ExitCode> {
    anyhow::bail!("mesh edges {} is not written yet", args.resources.join(" "))
}
