//! Identity of a process, although the kernel uses pids again.

use rustix::process::{Pid, test_kill_process};
use serde::{Deserialize, Serialize};

/// Identifies a process by pid and start time, because pids are reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ProcessId {
    /// The process id, which is also that of its group.
    pub(crate) pid: u32,
    /// In clock ticks since boot.
    pub(crate) start_time: u64,
}

impl ProcessId {
    /// The process that runs under `pid` now.
    pub(crate) fn of(pid: u32) -> Option<Self> {
        let start_time = mesh_local::process::start_time(pid)?;
        Some(Self { pid, start_time })
    }

    /// Returns true if the process still runs.
    pub(crate) fn is_alive(self) -> bool {
        Self::of(self.pid) == Some(self)
            && pid_of(self.pid).is_some_and(|pid| test_kill_process(pid).is_ok())
    }
}

/// Returns `pid` as the kernel takes it; `None` if it is out of range.
pub(crate) fn pid_of(pid: u32) -> Option<Pid> {
    i32::try_from(pid).ok().and_then(Pid::from_raw)
}
