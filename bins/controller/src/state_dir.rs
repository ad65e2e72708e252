use serde::{Deserialize, Serialize};
use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
};

/// The folder that holds everything a mesh on one machine must not forget, `.mesh` by default.
///
/// It belongs to the controller and `mesh up` together; this type is where both agree on names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StateDir {
    root: PathBuf,
}

impl StateDir {
    /// The state in `root`.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// The folder itself.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// `resources/<namespace>/<kind>/<name>.yaml`: written by the controller, and by hand.
    pub fn resources(&self) -> PathBuf {
        self.root.join("resources")
    }

    /// The last good copy of each resource, for when its file in [`resources`](Self::resources)
    /// has been broken by hand.
    pub fn accepted(&self) -> PathBuf {
        self.root.join("accepted")
    }

    /// `canaries/<namespace>/<name>.json`: the state of each Canary, from which a new controller goes on.
    pub fn canaries(&self) -> PathBuf {
        self.root.join("canaries")
    }

    /// The folder of files that are valid only while a process runs.
    pub fn run(&self) -> PathBuf {
        self.root.join("run")
    }

    /// The faults to inject, as the API has them.
    pub fn faults(&self) -> PathBuf {
        self.run().join("faults.json")
    }

    /// [`Workloads`](crate::source::workloads::Workloads), written by `mesh up`.
    pub fn workloads(&self) -> PathBuf {
        self.run().join("workloads.json")
    }

    /// [`Running`], written by the controller.
    pub fn controller(&self) -> PathBuf {
        self.run().join("controller.json")
    }

    /// The socket of the controller's API, with the commands that change something.
    pub fn controller_socket(&self) -> PathBuf {
        self.root.join("controller.sock")
    }

    /// The socket of the supervisor's API: `mesh up` listens on it.
    pub fn supervisor_socket(&self) -> PathBuf {
        self.root.join("up.sock")
    }
}

/// `run/controller.json`: the controller that serves.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Running {
    /// Its process.
    pub pid: u32,
    /// When that process started, in clock ticks since the machine did (field 22 of
    /// `/proc/PID/stat`): tells it from a later process of the same number.
    pub start_time: u64,
    /// Where sidecars ask it.
    pub grpc: SocketAddr,
    /// Where its read-only API is.
    pub http: SocketAddr,
    /// Its version.
    pub version: String,
}
