//! Running processes, their memory and their CPU time.

use crate::{libraries::target_dir, test::cargo};
use anyhow::{Context, bail};
use std::{
    collections::BTreeMap,
    fs,
    path::PathBuf,
    process::{Child, Command},
    time::Duration,
};

/// `mesh` in the profile in which it is distributed.
pub(crate) const MESH: &str = "target/dist/mesh";

/// Builds `mesh` as users run it.
pub(crate) fn build() -> anyhow::Result<()> {
    let build = ["build", "--profile", "dist", "--package", "mesh-cli"];
    if !Command::new(env!("CARGO")).args(build).status()?.success() {
        bail!("cannot build mesh");
    }
    Ok(())
}

/// Builds the programs that steps run in release, and returns their folder.
///
/// One call of cargo for all of them, so that they share their dependencies.
pub(crate) fn build_release() -> anyhow::Result<PathBuf> {
    let build = ["build", "--workspace", "--release"];
    let programs = ["--bin", "instructions", "--bin", "mesh"];
    cargo(&[&build[..], &programs].concat())?;
    Ok(target_dir()?.join("release"))
}

/// Ends `child` as Ctrl-C does and waits for it.
pub(crate) fn interrupt(child: &mut Child) -> anyhow::Result<()> {
    let pid = child.id().to_string();
    Command::new("kill").args(["-INT", &pid]).status()?;
    child.wait()?;
    Ok(())
}

/// User and system CPU time of all children that have ended, and of theirs.
pub(crate) fn cpu_of_children() -> anyhow::Result<Duration> {
    let stat = fs::read_to_string("/proc/self/stat")?;
    // The name in brackets may have spaces; `cutime` and `cstime` are fields 16 and 17.
    let fields = stat.rsplit_once(')').map(|(_, rest)| rest);
    let fields = fields.unwrap_or_default().split_whitespace();
    let ticks = fields.skip(13).take(2).map(str::parse::<u64>);
    let ticks: Result<Vec<_>, _> = ticks.collect();
    let ticks: u64 = ticks.context("/proc/self/stat")?.iter().sum();
    Ok(Duration::from_millis(
        ticks * 1_000 / rustix::param::clock_ticks_per_second(),
    ))
}

/// Resident memory, in KiB.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Memory {
    /// All of it, pages of the program and of libraries included.
    pub(crate) all: u64,
    /// Memory that the process wrote itself: heap and stacks.
    pub(crate) anonymous: u64,
}

impl Memory {
    /// Reads the memory of process `pid`.
    pub(crate) fn of(pid: u32) -> anyhow::Result<Self> {
        let file = format!("/proc/{pid}/status");
        let status = fs::read_to_string(&file)?;
        let kib = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name));
            let kib = line.and_then(|line| line.trim().strip_suffix(" kB")?.trim().parse().ok());
            kib.with_context(|| format!("{file} has no {name}"))
        };
        Ok(Self {
            all: kib("VmRSS:")?,
            anonymous: kib("RssAnon:")?,
        })
    }
}

/// The processes below `root` and itself, each by pid and command line.
pub(crate) fn tree(root: u32) -> anyhow::Result<BTreeMap<String, Memory>> {
    let mut parents = BTreeMap::new();
    for entry in fs::read_dir("/proc")? {
        let name = entry?.file_name();
        let Some(pid) = name.to_str().and_then(|name| name.parse::<u32>().ok()) else {
            continue;
        };
        // A process may end while it is looked at.
        if let Ok(stat) = fs::read_to_string(format!("/proc/{pid}/stat"))
            && let Some((_, rest)) = stat.rsplit_once(')')
            && let Some(parent) = rest.split_whitespace().nth(1)
        {
            parents.insert(pid, parent.parse::<u32>().unwrap_or_default());
        }
    }
    let below = |mut pid: u32| loop {
        match parents.get(&pid) {
            _ if pid == root => return true,
            Some(parent) => pid = *parent,
            None => return false,
        }
    };
    let found = parents.keys().copied().filter(|pid| below(*pid));
    let found = found.filter_map(|pid| {
        let command = fs::read_to_string(format!("/proc/{pid}/cmdline")).ok()?;
        let command: String = command.replace('\0', " ").chars().take(90).collect();
        Some((format!("{pid} {command}"), Memory::of(pid).ok()?))
    });
    let found: BTreeMap<_, _> = found.collect();
    if found.is_empty() {
        bail!("no process {root}")
    }
    Ok(found)
}
