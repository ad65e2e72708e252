//! Property tests: the same cases in every run of CI, others in the long run.

use crate::test::run_with;
use std::{env, time::SystemTime};

/// The environment variable that `proptest` reads the seed of its cases from.
const SEED: &str = "PROPTEST_RNG_SEED";

/// The tests of the workspace, besides unit tests, that are property tests.
const PROGRAMS: [&str; 5] = [
    "endpoints",
    "matching",
    "openapi",
    "openapiv3",
    "status_reader",
];

/// Returns the seed for a step of CI: a change fails for what it changes, never for a case that by
/// chance no earlier run had. A seed from outside stays.
pub(crate) fn seed() -> (&'static str, String) {
    (SEED, env::var(SEED).unwrap_or_else(|_| "1".to_owned()))
}

/// Runs the property tests of all libraries with `cases` cases each that no run had before.
pub(crate) fn run(cases: u32) -> anyhow::Result<()> {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?;
    let seed = now.as_millis().to_string();
    println!("{SEED}={seed}");
    let mut arguments = vec![
        "test",
        "--workspace",
        "--all-features",
        "--no-fail-fast",
        "--lib",
    ];
    for program in PROGRAMS {
        arguments.extend(["--test", program]);
    }
    let cases = cases.to_string();
    run_with(&arguments, &[(SEED, &seed), ("PROPTEST_CASES", &cases)])
}
