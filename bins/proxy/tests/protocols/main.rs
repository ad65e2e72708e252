//! Suites of others, written in Go. `cargo xtask protocols` gets them and runs this.

#[path = "../support/mod.rs"]
mod support;

mod h2spec;
mod interop;

use std::path::PathBuf;

/// A program that `cargo xtask protocols` has built.
fn program(name: &str) -> PathBuf {
    let folder = std::env::var_os("PROTOCOL_SUITES").expect("cargo xtask protocols calls this");
    PathBuf::from(folder).join(name)
}
