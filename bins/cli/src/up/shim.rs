//! The small parent of every program (being written).

use std::{ffi::OsString, process::ExitCode};

/// The command line, when this process was started as a shim.
pub(crate) fn invoked() -> Option<Vec<OsString>> {
    let mut args = std::env::args_os().skip(1);
    (args.next()? == "shim").then(|| args.collect())
}

/// Being written.
pub(crate) fn run(_: &[OsString]) -> ExitCode {
    ExitCode::FAILURE
}
