//! `mesh restart`.

use crate::{args::Global, client::Client};
use anyhow::Result;
use std::{
    io::{self, Write},
    process::ExitCode,
};

/// Restart workloads, one replica after the other and without losing a request
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  mesh restart authors")]
pub(crate) struct Args {
    /// The workloads
    #[arg(required = true, value_name = "NAME")]
    names: Vec<String>,
}

pub(crate) async fn run(args: Args, global: &Global) -> Result<ExitCode> {
    let client = Client::supervisor(global)?;
    for name in args.names {
        client.restart(&name).await?;
        writeln!(io::stdout(), "{name} restarted")?;
    }
    Ok(ExitCode::SUCCESS)
}
