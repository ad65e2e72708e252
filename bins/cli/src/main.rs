//! `mesh`: a service mesh on one machine, as one program.
//!
//! Exit codes: 0 for done, 1 for an error or a "no", 2 for wrong usage.

mod args;
mod client;
mod cmd;
mod output;
mod resources;
mod up;

use clap::Parser;
use std::{io, process::ExitCode};

fn main() -> ExitCode {
    // Before anything else: a shim is one small blocking process per replica.
    if let Some(command) = up::shim::invoked() {
        return up::shim::run(&command);
    }
    let cli = args::Cli::parse();
    match cmd::run(cli) {
        Ok(code) => code,
        Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("Error: {error:#}");
            output::exit_code(&error)
        }
    }
}

/// Whether whoever read our output has had enough, as `mesh tap | head` does.
fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        cause
            .downcast_ref::<io::Error>()
            .is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
    })
}
