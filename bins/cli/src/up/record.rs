//! Which processes this mesh has: written down, so that the next start finds what a crash left.

use super::json;
use crate::process_id::{ProcessId, pid_of};
use rustix::process::{Signal, kill_process_group};
use serde::{Deserialize, Serialize};
use std::{
    fs,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    thread,
    time::Duration,
};

/// Grace period of a leftover process before it is killed.
const GRACE: Duration = Duration::from_secs(2);
const TICK: Duration = Duration::from_millis(20);

/// The processes of a running mesh, mirrored in `run/up.json`. Clones share.
#[derive(Clone, Debug)]
pub(crate) struct Record(Arc<Mutex<Inner>>);

#[derive(Debug)]
struct Inner {
    path: PathBuf,
    up: Up,
}

/// Content of `run/up.json`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Up {
    /// The supervisor.
    #[serde(flatten)]
    pub(crate) supervisor: ProcessId,
    /// Everything it started that has not ended.
    pub(crate) processes: Vec<Entry>,
}

/// A process of a name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Entry {
    /// The replica, sidecar or controller it is.
    pub(crate) name: String,
    #[serde(flatten)]
    pub(crate) mark: ProcessId,
}

impl Record {
    /// Starts the record of this process in `run_dir`.
    pub(crate) fn new(run_dir: &Path) -> anyhow::Result<Self> {
        let pid = std::process::id();
        let supervisor = ProcessId::of(pid).unwrap_or(ProcessId { pid, start_time: 0 });
        let inner = Inner {
            path: run_dir.join("up.json"),
            up: Up {
                supervisor,
                processes: Vec::new(),
            },
        };
        inner.write()?;
        Ok(Self(Arc::new(Mutex::new(inner))))
    }

    pub(crate) fn add(&self, name: &str, pid: u32) {
        if let Some(mark) = ProcessId::of(pid) {
            self.edit(|up| {
                up.processes.push(Entry {
                    name: name.to_owned(),
                    mark,
                });
            });
        }
    }

    pub(crate) fn remove(&self, name: &str, pid: Option<u32>) {
        self.edit(|up| {
            up.processes
                .retain(|entry| entry.name != name || Some(entry.mark.pid) != pid);
        });
    }

    /// Returns the processes that still run.
    pub(crate) fn processes(&self) -> Vec<Entry> {
        let inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        inner.up.processes.clone()
    }

    fn edit(&self, change: impl FnOnce(&mut Up)) {
        let mut inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        change(&mut inner.up);
        if let Err(error) = inner.write() {
            tracing::warn!("{error:#}");
        }
    }
}

impl Inner {
    fn write(&self) -> anyhow::Result<()> {
        json::write(&self.path, &self.up)
    }
}

/// Reads what the last `mesh up` recorded in `run_dir`.
pub(crate) fn read(run_dir: &Path) -> Option<Up> {
    serde_json::from_slice(&fs::read(run_dir.join("up.json")).ok()?).ok()
}

/// Ends what a dead supervisor left in `run_dir`; returns how many processes it were.
///
/// Only call this while holding the lock of the state folder.
pub(crate) fn end_leftovers(run_dir: &Path) -> usize {
    let Some(up) = read(run_dir) else { return 0 };
    end(&up.processes)
}

/// Ends `entries` and their groups: politely, then by force.
pub(crate) fn end(entries: &[Entry]) -> usize {
    let signal = |signal| {
        entries
            .iter()
            .filter(|entry| entry.mark.is_alive())
            .filter_map(|entry| kill_process_group(pid_of(entry.mark.pid)?, signal).ok())
            .count()
    };
    let found = signal(Signal::TERM);
    let mut waited = Duration::ZERO;
    while waited < GRACE && entries.iter().any(|entry| entry.mark.is_alive()) {
        thread::sleep(TICK);
        waited += TICK;
    }
    signal(Signal::KILL);
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::process::CommandExt;

    #[test]
    fn a_leftover_is_ended_and_a_reused_pid_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let sleep = || {
            std::process::Command::new("sleep")
                .arg("1000")
                .process_group(0)
                .spawn()
                .unwrap()
        };
        let (mut left, mut other) = (sleep(), sleep());
        let entry = |pid, off| {
            let mut mark = ProcessId::of(pid).unwrap();
            mark.start_time += off;
            Entry {
                name: "a".into(),
                mark,
            }
        };
        let up = Up {
            supervisor: ProcessId {
                pid: 1,
                start_time: 0,
            },
            processes: vec![entry(left.id(), 0), entry(other.id(), 1)],
        };
        fs::write(dir.path().join("up.json"), serde_json::to_vec(&up).unwrap()).unwrap();

        // The test is the parent, so somebody has to reap for the process to be gone.
        let reaper = thread::spawn(move || left.wait().unwrap());
        assert_eq!(end_leftovers(dir.path()), 1);
        assert!(!reaper.join().unwrap().success());
        assert!(other.try_wait().unwrap().is_none(), "a bystander was hit");
        other.kill().unwrap();
        other.wait().unwrap();
    }
}
