//! `mesh completion`.

use crate::args::{Cli, Global};
use anyhow::Result;
use clap::{CommandFactory, ValueEnum};
use clap_complete::{Shell, generate};
use std::{
    io::{self, Write},
    process::ExitCode,
};

/// Print a completion script for a shell
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  source <(mesh completion bash)\n  \
    mesh completion fish > ~/.config/fish/completions/mesh.fish")]
pub(crate) struct Args {
    /// The shell
    shell: Known,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Known {
    Bash,
    Zsh,
    Fish,
}

pub(crate) fn run(args: &Args, _: &Global) -> Result<ExitCode> {
    let shell = match args.shell {
        Known::Bash => Shell::Bash,
        Known::Zsh => Shell::Zsh,
        Known::Fish => Shell::Fish,
    };
    let mut script = Vec::new();
    generate(shell, &mut Cli::command(), "mesh", &mut script);
    io::stdout().lock().write_all(&script)?;
    Ok(ExitCode::SUCCESS)
}
