//! Resources that a process has used, from the kernel's counters.

use anyhow::Context as _;
use std::fs;

/// CPU time of `pids` and all their threads so far, in nanoseconds.
pub(crate) fn cpu(pids: &[u32]) -> anyhow::Result<u64> {
    let mut total = 0;
    for pid in pids {
        for task in fs::read_dir(format!("/proc/{pid}/task"))? {
            // A thread may end while it is looked at.
            let Ok(text) = fs::read_to_string(task?.path().join("schedstat")) else {
                continue;
            };
            let spent = text
                .split(' ')
                .next()
                .and_then(|field| field.parse::<u64>().ok());
            total += spent.context("schedstat begins with a number")?;
        }
    }
    Ok(total)
}

/// Resident memory of `pids`, in KiB.
pub(crate) fn resident(pids: &[u32]) -> anyhow::Result<u64> {
    let mut total = 0;
    for pid in pids {
        let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kib = line.and_then(|line| line.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok());
        total += kib.context("a process has resident memory")?;
    }
    Ok(total)
}

/// `pid` and all its descendants.
pub(crate) fn family(pid: u32) -> Vec<u32> {
    let mut family = vec![pid];
    let mut next = 0;
    while next < family.len() {
        let file = format!("/proc/{0}/task/{0}/children", family[next]);
        let children = fs::read_to_string(file).unwrap_or_default();
        family.extend(
            children
                .split_whitespace()
                .filter_map(|pid| pid.parse::<u32>().ok()),
        );
        next += 1;
    }
    family
}
