//! `mesh proxy`: the sidecar.

use anyhow::Result;
use clap::Parser;
use std::{ffi::OsString, process::ExitCode};

/// Run a sidecar in the foreground, as `mesh-proxy` does
#[derive(Debug, clap::Args)]
#[command(
    disable_help_flag = true,
    after_help = "Example:\n  mesh proxy --listen 127.0.0.1:8080 --forward 127.0.0.1:9000"
)]
pub(crate) struct Args {
    /// The arguments of the sidecar; `mesh proxy --help` has them
    // Read by a parser of their own: they have a --namespace of their own, and a sidecar has no
    // memory to spare for the flags of all other commands.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    rest: Vec<OsString>,
}

#[derive(Parser)]
#[command(
    name = "mesh proxy",
    about = "Run a sidecar in the foreground, as `mesh-proxy` does",
    after_help = "Example:\n  mesh proxy --listen 127.0.0.1:8080 --forward 127.0.0.1:9000"
)]
struct Program {
    #[command(flatten)]
    proxy: mesh_proxy::Args,
}

pub(crate) fn run(args: Args) -> Result<ExitCode> {
    crate::up::without_huge_pages(true);
    let name = OsString::from("mesh proxy");
    let program = Program::parse_from([name].into_iter().chain(args.rest));
    let config = match mesh_proxy::Config::try_from(program.proxy) {
        Ok(config) => config,
        Err(error) => {
            eprintln!("Error: {error:#}");
            return Ok(ExitCode::from(2));
        }
    };
    mesh_proxy::log::init(&config.log);
    mesh_proxy::run(config)?;
    Ok(ExitCode::SUCCESS)
}
