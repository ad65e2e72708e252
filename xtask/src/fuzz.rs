//! Every fuzz target for a while, as many at once as there are processors.

use crate::tool;
use anyhow::{Context, bail};
use std::{
    collections::VecDeque,
    fs::{self, File},
    path::Path,
    process::Child,
    thread,
    time::Duration,
};

/// Fuzz targets for inputs of the libraries.
const LIBRARIES: [&str; 5] = [
    "openapi",
    "profile",
    "matcher",
    "request_path",
    "status_reader",
];

/// Fuzz targets for inputs of the sidecar, which takes minutes to build.
const SIDECAR: [&str; 3] = ["first_bytes", "admin_path", "original_dst"];

/// The fuzz targets to run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scope {
    Libraries,
    All,
}

impl Scope {
    fn targets(self) -> VecDeque<&'static str> {
        let sidecar = SIDECAR.into_iter().filter(|_| self == Self::All);
        LIBRARIES.into_iter().chain(sidecar).collect()
    }

    fn flags(self) -> &'static [&'static str] {
        match self {
            Self::Libraries => &["--sanitizer", "none"],
            Self::All => &["--sanitizer", "none", "--features", "proxy"],
        }
    }
}

/// No input is worth more than this, and longer ones slow the search down.
const MAX_INPUT: &str = "-max_len=4096";

/// A hang is a bug: nothing here takes longer than a tenth of a second. The clock is the wall's, and
/// on a busy machine one input was measured to take 14 s of which it ran for 0.1 s.
const MAX_SECONDS: &str = "-timeout=60";

pub(crate) fn run(scope: Scope, each: Duration) -> anyhow::Result<()> {
    // On stable Rust there are no sanitizers, and without `unsafe` little for them to find.
    let mut build = tool::cargo("fuzz")?;
    if !build.arg("build").args(scope.flags()).status()?.success() {
        bail!("the fuzz targets do not compile");
    }
    let at_once = thread::available_parallelism().map_or(1, usize::from);
    let mut waiting = scope.targets();
    let mut running = VecDeque::new();
    let mut failed = Vec::new();
    loop {
        while running.len() < at_once
            && let Some(target) = waiting.pop_front()
        {
            running.push_back((target, start(scope, target, each)?));
        }
        let Some((target, mut child)) = running.pop_front() else {
            break;
        };
        let succeeded = child.wait()?.success();
        let log = fs::read_to_string(log(target))?;
        let said = |start: &str| log.lines().rev().find(|line| line.starts_with(start));
        match said("Done ").filter(|_| succeeded) {
            Some(done) => println!("{target:14} {done}"),
            None => {
                eprintln!("{log}\n{target} failed; the input is below fuzz/artifacts/{target}");
                failed.push(target);
            }
        }
    }
    if failed.is_empty() {
        Ok(())
    } else {
        bail!("found something: {}", failed.join(", "))
    }
}

fn start(scope: Scope, target: &str, each: Duration) -> anyhow::Result<Child> {
    let corpus = format!("fuzz/corpus/{target}");
    fs::create_dir_all(&corpus)?;
    let log = File::create(log(target)).context("no place for a log")?;
    Ok(tool::cargo("fuzz")?
        .arg("run")
        .args(scope.flags())
        .args([
            target,
            &corpus,
            &format!("fuzz/seeds/{target}"),
            "--",
            MAX_INPUT,
            MAX_SECONDS,
        ])
        .arg(format!("-max_total_time={}", each.as_secs()))
        .stdout(log.try_clone()?)
        .stderr(log)
        .spawn()?)
}

fn log(target: &str) -> std::path::PathBuf {
    Path::new("fuzz/corpus").join(format!("{target}.log"))
}
