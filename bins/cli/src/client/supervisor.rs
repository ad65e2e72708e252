//! Answers of the supervisor (`mesh up`) that `mesh ps`, `check` and `down` read.

use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// `GET /v1/status`.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Status {
    pub(crate) pid: u32,
    pub(crate) file: PathBuf,
    pub(crate) namespace: String,
    /// True if each replica has a network namespace.
    #[serde(default)]
    pub(crate) transparent: bool,
    /// True if every started process is ready.
    pub(crate) ready: bool,
    /// A line for each service with a port on the host.
    pub(crate) urls: Vec<String>,
    /// A line for each service that would have one, and why it has none.
    #[serde(default)]
    pub(crate) notes: Vec<String>,
    /// Number of ready replicas, and the names of the others.
    #[serde(default)]
    pub(crate) progress: String,
    /// Replicas that end again and again.
    #[serde(default)]
    pub(crate) problems: Vec<Problem>,
}

/// A replica that ends again and again.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Problem {
    pub(crate) name: String,
    pub(crate) restarts: u32,
    pub(crate) why: String,
    /// The last it said.
    pub(crate) tail: Vec<String>,
}

/// A line of `mesh ps`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Row {
    pub(crate) name: String,
    pub(crate) workload: String,
    /// `ready`, `starting`, `waiting`, `failing`, `draining`, `stopped`.
    pub(crate) state: String,
    pub(crate) pid: Option<u32>,
    pub(crate) restarts: u32,
    /// Where the program listens.
    pub(crate) app: Option<String>,
    pub(crate) inbound: Option<String>,
    pub(crate) admin: Option<String>,
    /// Why it is not ready.
    pub(crate) why: Option<String>,
}
