//! `mesh init`: a first mesh.yaml.

mod compose;
mod draft;
mod found;

use crate::up::config::Config;
use anyhow::{Context as _, Result, bail};
use draft::Draft;
use std::{
    fs,
    io::{self, BufRead as _, IsTerminal as _, Write as _},
    path::{Path, PathBuf},
    process::ExitCode,
};

/// Write a mesh.yaml from the files of a folder
///
/// Reads the first of these that is there: a command line behind `--`, a compose file, a Procfile; else
/// all of package.json, go.mod and Cargo.toml. Asks before it overwrites a mesh.yaml.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  mesh init\n  mesh init --print examples/\n  mesh init -- python3 app.py"
)]
pub(crate) struct Args {
    /// The folder
    #[arg(default_value = ".")]
    folder: PathBuf,
    /// Overwrite a mesh.yaml without asking
    #[arg(long)]
    force: bool,
    /// Print it instead
    #[arg(long)]
    print: bool,
    /// A program and its arguments
    #[arg(last = true)]
    command: Vec<String>,
}

pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    let draft = match args.command.is_empty() {
        true => found::look(&args.folder)?,
        false => Draft::of_command(&args.command),
    };
    let text = draft.to_yaml();
    let file = args.folder.join("mesh.yaml");
    // What is written can be read.
    Config::parse(&text, "the new mesh.yaml", &std::path::absolute(&file)?)?;
    let mut out = io::stdout().lock();
    if args.print {
        out.write_all(text.as_bytes())?;
        return Ok(ExitCode::SUCCESS);
    }
    if !args.force && file.exists() && !may_overwrite(&file)? {
        writeln!(out, "{} stays as it is", file.display())?;
        return Ok(ExitCode::FAILURE);
    }
    fs::write(&file, text).with_context(|| format!("cannot write {}", file.display()))?;
    writeln!(out, "{} is written from {}", file.display(), draft.source)?;
    for note in &draft.notes {
        writeln!(out, "note: {note}")?;
    }
    writeln!(out, "next: look at it, then run `mesh up`")?;
    Ok(ExitCode::SUCCESS)
}

fn may_overwrite(file: &Path) -> Result<bool> {
    if !io::stdin().is_terminal() {
        bail!(
            "{} is there already; --force overwrites it, --print shows the new one",
            file.display()
        );
    }
    eprint!("{} is there already; overwrite it? [y/N] ", file.display());
    let mut answer = String::new();
    io::stdin().lock().read_line(&mut answer)?;
    Ok(["y", "yes"].contains(&answer.trim().to_lowercase().as_str()))
}
