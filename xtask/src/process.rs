//! Running processes and their memory.

use anyhow::{Context, bail};
use std::{
    collections::BTreeMap,
    fs,
    process::{Child, Command},
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

/// Ends `child` as Ctrl-C does and waits for it.
pub(crate) fn interrupt(child: &mut Child) -> anyhow::Result<()> {
    let pid = child.id().to_string();
    Command::new("kill").args(["-INT", &pid]).status()?;
    child.wait()?;
    Ok(())
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
