//! Reports tests that cannot run on this machine.
//! A test that returns early passes, and the test runner hides its output, so a skipped test would
//! go unnoticed. This crate reports skips past the runner's capture. `cargo xtask test` repeats
//! them at its end; with [`NO_SKIPS`] set, a skip fails the test.

#![forbid(unsafe_code)]

use std::{
    env,
    fmt::Display,
    fs,
    io::{self, Write as _},
    panic::Location,
    path::Path,
    thread,
};

/// The variable that makes each skip a failure, if it is set to anything but nothing or `0`.
pub const NO_SKIPS: &str = "MESH_NO_SKIPS";

/// The variable that names the file to which each skip adds a line.
pub const FILE: &str = "MESH_SKIPS_FILE";

/// Reports that the calling test, or a part of it, is skipped because of `why`.
///
/// # Panics
///
/// If [`NO_SKIPS`] is set, and if the line cannot be added to [`FILE`].
#[track_caller]
pub fn skip(why: impl Display) {
    let file = env::var_os(FILE);
    skip_here(&why, are_forbidden(), file.as_deref().map(Path::new));
}

/// The same for a program that keeps the `file` itself and hands it to its children.
///
/// # Panics
///
/// As [`skip`] does.
#[track_caller]
pub fn skip_in(file: &Path, why: impl Display) {
    skip_here(&why, are_forbidden(), Some(file));
}

/// Returns true if [`NO_SKIPS`] is set.
pub fn are_forbidden() -> bool {
    env::var_os(NO_SKIPS).is_some_and(|value| !value.is_empty() && value != "0")
}

#[track_caller]
fn skip_here(why: &dyn Display, forbidden: bool, file: Option<&Path>) {
    let place = Location::caller().file();
    // The test runner names each thread after its test.
    let thread = thread::current();
    let test = thread.name().filter(|name| *name != "main");
    let test = test.map(|name| format!(" {name}")).unwrap_or_default();
    let line = format!("SKIPPED {place}{test}: {why}\n");
    assert!(!forbidden, "{NO_SKIPS} is set, but {line}");
    // Whole lines at once, as tests run beside each other; and not by `eprint!`, which is captured.
    let _ = io::stderr().write_all(line.as_bytes());
    if let Some(file) = file {
        fs::OpenOptions::new()
            .append(true)
            .create(true)
            .open(file)
            .and_then(|mut file| file.write_all(line.as_bytes()))
            .unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_skip_adds_a_line_to_the_file() {
        let file = env::temp_dir().join(format!("mesh-skips-{}", std::process::id()));
        skip_here(&"no moon", false, Some(&file));
        skip_here(&"no sun", false, Some(&file));
        let text = fs::read_to_string(&file).expect("it is there");
        fs::remove_file(&file).expect("it can be removed");
        let lines: Vec<_> = text.lines().collect();
        let [moon, sun] = lines[..] else {
            panic!("{text}");
        };
        assert!(moon.contains("a_skip_adds_a_line") && moon.ends_with(": no moon"));
        assert!(sun.contains("skips/src/lib.rs") && sun.ends_with(": no sun"));
    }

    #[test]
    #[should_panic(expected = "no moon")]
    fn a_skip_that_is_forbidden_is_a_failure() {
        skip_here(&"no moon", true, None);
    }
}
