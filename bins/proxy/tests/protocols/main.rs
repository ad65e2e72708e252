//! Suites of others, written in Go. `cargo xtask protocols` gets them and runs this.

#[path = "../support/mod.rs"]
mod support;

mod h2spec;
mod interop;

use std::path::PathBuf;

/// A program that `cargo xtask protocols` has built; skips the test when somebody else calls it.
fn program(name: &str) -> Option<PathBuf> {
    let folder = std::env::var_os("PROTOCOL_SUITES");
    if folder.is_none() {
        eprintln!("SKIPPED: {name} is not here; run cargo xtask protocols, which needs Go");
    }
    Some(PathBuf::from(folder?).join(name))
}
