//! `mesh`: a service mesh on one machine, as one program.
//!
//! Exit codes: 0 for done, 1 for an error or a "no", 2 for wrong usage.

mod args;
mod client;
mod cmd;
mod log_line;
mod manifest_files;
mod output;
mod process_id;
mod resources;
#[cfg(feature = "local")]
mod up;

use clap::Parser;
use std::{ffi::OsString, io, process::ExitCode};

fn main() -> ExitCode {
    #[cfg(not(feature = "local"))]
    let args = std::env::args_os().skip(1);
    #[cfg(feature = "local")]
    let args = match arguments() {
        Ok(args) => args,
        Err(code) => return code,
    };
    let args = [OsString::from("mesh")].into_iter().chain(args);
    let cli = args::Cli::parse_from(args);
    match cmd::run(cli) {
        Ok(code) => code,
        Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("Error: {error:#}");
            output::exit_code(&error)
        }
    }
}

/// Returns the arguments of the command, or the exit code if this process served a replica instead.
#[cfg(feature = "local")]
fn arguments() -> Result<Vec<OsString>, ExitCode> {
    // Before anything else, while there is one thread: a process of a pod goes there.
    let args = match up::enter::invoked() {
        Ok(Some(rest)) => rest,
        Ok(None) => std::env::args_os().skip(1).collect(),
        Err(error) => {
            eprintln!("Error: {error:#}");
            return Err(ExitCode::FAILURE);
        }
    };
    // A shim is one small blocking process per replica.
    match up::shim::invoked(&args) {
        Some(command) => Err(up::shim::run(command)),
        None => Ok(args),
    }
}

/// Returns true if the reader of the output closed its end, as `mesh tap | head` does.
fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        cause
            .downcast_ref::<io::Error>()
            .is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
    })
}
