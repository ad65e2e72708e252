use std::{fmt, sync::Arc};

/// The name of the workload whose pod is the gateway: the sidecar that serves the machine's own
/// ports. It sends requests into the mesh, and no source needs to declare it.
pub const GATEWAY: &str = "mesh-gateway";

/// A program that runs in one or more pods.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Workload {
    /// Its namespace.
    pub namespace: Arc<str>,
    /// Its kind and name.
    pub name: WorkloadName,
    /// The revisions it has now, oldest first; empty if it keeps no count.
    pub revisions: Vec<Arc<str>>,
    /// Identity of what its pods shall run, such as a hash of their template; `None` if unknown.
    pub template: Option<Arc<str>>,
    /// Number of pods that shall run; `None` if unknown.
    pub desired: Option<u32>,
}

impl Workload {
    /// A workload that has no revisions.
    pub fn new(namespace: impl Into<Arc<str>>, name: WorkloadName) -> Self {
        Self {
            namespace: namespace.into(),
            name,
            revisions: Vec::new(),
            template: None,
            desired: None,
        }
    }
}

/// A workload's kind and name. Workloads of different kinds may share a name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WorkloadName {
    /// The kind.
    pub kind: WorkloadKind,
    /// The name within the namespace.
    pub name: Arc<str>,
}

impl WorkloadName {
    /// The deployment `name`.
    pub fn deployment(name: impl Into<Arc<str>>) -> Self {
        Self {
            kind: WorkloadKind::Deployment,
            name: name.into(),
        }
    }

    /// The gateway, which is called [`GATEWAY`].
    pub fn gateway() -> Self {
        Self {
            kind: WorkloadKind::Gateway,
            name: GATEWAY.into(),
        }
    }
}

impl fmt::Display for WorkloadName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.kind.as_str(), self.name)
    }
}

/// The kind of a workload.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum WorkloadKind {
    /// Replicas that are alike.
    Deployment,
    /// Replicas with a name and state of their own.
    StatefulSet,
    /// One replica on each machine.
    DaemonSet,
    /// Replicas that end.
    Job,
    /// The sidecar that serves the machine's own ports.
    Gateway,
}

impl WorkloadKind {
    /// Every kind.
    pub const ALL: [Self; 5] = [
        Self::Deployment,
        Self::StatefulSet,
        Self::DaemonSet,
        Self::Job,
        Self::Gateway,
    ];

    /// The kind in lower case: the label under which endpoints carry the workload's name. The
    /// gateway counts as a deployment.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Deployment | Self::Gateway => "deployment",
            Self::StatefulSet => "statefulset",
            Self::DaemonSet => "daemonset",
            Self::Job => "job",
        }
    }
}
