//! `mesh version`.

use crate::{args::Global, client::Client};
use anyhow::Result;
use std::{
    io::{self, Write},
    process::ExitCode,
};

/// Print the versions of this program and of the running mesh
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  mesh version\n  mesh version --client --short")]
pub(crate) struct Args {
    /// Only this program's
    #[arg(long)]
    client: bool,
    /// Only the numbers
    #[arg(long)]
    short: bool,
}

pub(crate) async fn run(args: Args, global: &Global) -> Result<ExitCode> {
    let mut out = io::stdout().lock();
    let own = env!("CARGO_PKG_VERSION");
    if args.short {
        writeln!(out, "{own}")?;
    } else {
        writeln!(out, "Client version: {own}")?;
    }
    if args.client {
        return Ok(ExitCode::SUCCESS);
    }
    let server = running(global).await;
    let server = server.as_deref().unwrap_or("unavailable");
    if args.short {
        writeln!(out, "{server}")?;
    } else {
        writeln!(out, "Server version: {server}")?;
    }
    Ok(ExitCode::SUCCESS)
}

/// The controller's version, if there is one to ask.
pub(crate) async fn running(global: &Global) -> Result<String> {
    let client = Client::find(global)?;
    let version = client.version().await?;
    Ok(version.version)
}
