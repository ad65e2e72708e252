//! `mesh dashboard`.

use crate::{args::Global, client::Client};
use anyhow::Result;
use clap::ValueEnum;
use std::{
    io::{self, Write},
    process::{Command, ExitCode, Stdio},
};

/// Open the dashboard of the running mesh in the browser
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  mesh dashboard\n  mesh dashboard --show url\n\n\
                  The controller serves it, for as long as the mesh runs, to this machine only. It reads\n\
                  and changes nothing."
)]
pub(crate) struct Args {
    /// Open the browser, or print the URL and nothing else
    #[arg(long, value_name = "WHAT", default_value = "browser")]
    show: Show,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Show {
    Browser,
    Url,
}

/// Programs that open a URL in the browser, in the order to try them.
const OPENERS: [&str; 3] = ["xdg-open", "open", "wslview"];

pub(crate) async fn run(args: Args, global: &Global) -> Result<ExitCode> {
    let version = Client::find(global)?.version().await?;
    let url = format!("http://{}/", version.http);
    let mut out = io::stdout().lock();
    if args.show == Show::Url {
        writeln!(out, "{url}")?;
        return Ok(ExitCode::SUCCESS);
    }
    writeln!(out, "The dashboard is available at:\n{url}")?;
    if OPENERS.into_iter().any(|program| open(program, &url)) {
        writeln!(out, "Opening it in the default browser")?;
    } else {
        eprintln!("Note: no browser could be opened; open the URL yourself.");
    }
    Ok(ExitCode::SUCCESS)
}

/// Starts `program`, which outlives this one; returns false if it cannot be started.
fn open(program: &str, url: &str) -> bool {
    let mut command = Command::new(program);
    command.arg(url).stdin(Stdio::null());
    command.stdout(Stdio::null()).stderr(Stdio::null());
    command.spawn().is_ok()
}
