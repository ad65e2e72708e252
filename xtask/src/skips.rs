//! Tests that could not run on this machine: see the crate `mesh-skips`.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

/// Returns the file with one line per skipped test.
pub(crate) fn file() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/skips.txt")
}

/// Forgets what an earlier run has said.
pub(crate) fn forget() -> io::Result<()> {
    let file = file();
    fs::create_dir_all(file.parent().unwrap_or(Path::new(".")))?;
    match fs::remove_file(file) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Repeats what was said since, each line once.
pub(crate) fn list() {
    let said = fs::read_to_string(file()).unwrap_or_default();
    let mut lines: Vec<&str> = said.lines().collect();
    lines.sort_unstable();
    lines.dedup();
    if lines.is_empty() {
        eprintln!("\n=== nothing was skipped");
        return;
    }
    eprintln!("\n=== skipped, and so not tested ({} in all)", lines.len());
    for line in lines {
        eprintln!("{line}");
    }
    let variable = mesh_skips::NO_SKIPS;
    eprintln!("with {variable}=1 each of these is a failure");
}
