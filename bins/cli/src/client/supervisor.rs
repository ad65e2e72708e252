//! What the supervisor (`mesh up`) can be asked and told, and its answers.

use super::Client;
#[cfg(feature = "local")]
use super::Lines;
use anyhow::Result;
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

impl Client {
    /// Returns the state of the whole.
    pub(crate) async fn status(&self) -> Result<Status> {
        self.get_json("/v1/status").await
    }

    /// Returns a row for each process.
    pub(crate) async fn processes(&self) -> Result<Vec<Row>> {
        self.get_json("/v1/ps").await
    }

    /// Stops everything, and returns the last state.
    pub(crate) async fn down(&self) -> Result<Status> {
        self.post("/v1/down", "").await
    }

    pub(crate) async fn restart(&self, workload: &str) -> Result<()> {
        self.post("/v1/restart", serde_json::to_vec(workload)?)
            .await
    }

    /// Makes the mesh follow a configuration, and returns the changes.
    #[cfg(feature = "local")]
    pub(crate) async fn follow(&self, request: &impl Serialize) -> Result<Vec<String>> {
        self.post("/v1/apply", serde_json::to_vec(request)?).await
    }

    /// Lets a program of the caller take part for as long as the lines are read.
    #[cfg(feature = "local")]
    pub(crate) async fn admit(&self, request: &impl Serialize) -> Result<Lines> {
        self.post_lines("/v1/run", serde_json::to_vec(request)?)
            .await
    }
}
