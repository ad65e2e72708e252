//! What the controller says of itself, of resources and of destinations.

pub use crate::resource::{Outcome, Rejection};
use mesh_profile::ProfileSpec;
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, net::SocketAddr};

/// `GET /api/v1/version`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Version {
    /// The controller's version.
    pub version: String,
    /// The namespace of the mesh: what is meant when none is named.
    pub namespace: String,
    /// What full names of services end in.
    pub cluster_domain: String,
    /// The controller's process.
    pub pid: u32,
    /// Where sidecars ask it.
    pub grpc: SocketAddr,
    /// Where its read-only API is.
    pub http: SocketAddr,
}

/// `GET /api/v1/resources/{kind}[/{namespace}[/{name}]]`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ResourceList {
    /// The manifests in force.
    pub items: Vec<serde_json::Value>,
    /// Files that were refused, of these resources or of no known one. An item whose file is
    /// among them is the last good one.
    pub rejected: Vec<Rejection>,
}

/// `PUT /api/v1/resources`: what became of each object, in the order of the text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Applied {
    /// As commands print it: `serviceprofile.linkerd.io/web.shop.svc.cluster.local`.
    pub resource: String,
    /// Its kind, as in manifests.
    pub kind: String,
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// What happened.
    pub result: Outcome,
    /// What is allowed, but hardly meant.
    #[serde(default)]
    pub warnings: Vec<String>,
}

/// `GET /api/v1/destination?authority=&namespace=`: what a sidecar in `namespace` is told.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Destination {
    /// The authority, as asked for.
    pub authority: String,
    /// Full name and port of the apex; absent if the mesh does not know it.
    pub name: Option<String>,
    /// Routes and retry budget.
    pub profile: ProfileSpec,
    /// Namespace and name of the ServiceProfile that declares them.
    pub resource: Option<ProfileRef>,
    /// Who shares the requests.
    pub leaves: Vec<Leaf>,
    /// Whether it does not speak HTTP.
    pub opaque: bool,
}

/// Which ServiceProfile.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProfileRef {
    /// Its namespace: the client's, or the service's.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

/// A service that takes a share of the requests.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Leaf {
    /// Full name and port.
    pub authority: String,
    /// Its share relative to the sum.
    pub weight: u32,
    /// Whether there is such a service.
    pub exists: bool,
    /// Its addresses.
    pub endpoints: Vec<LeafEndpoint>,
}

/// An address of a leaf.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeafEndpoint {
    /// Where.
    pub addr: SocketAddr,
    /// What it is: `namespace`, `service`, `deployment`, `pod`.
    pub labels: BTreeMap<String, String>,
}

/// `GET /api/v1/check`: what the controller found out about the mesh, in categories.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckReport {
    /// In the order to print them.
    pub categories: Vec<CheckCategory>,
}

/// Checks that belong together.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckCategory {
    /// What they are about.
    pub name: String,
    /// In the order to print them.
    pub checks: Vec<Check>,
}

/// One thing that should be so.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Check {
    /// What should be so.
    pub description: String,
    /// Whether it is.
    pub result: CheckResult,
    /// What was found instead, a line each.
    #[serde(default)]
    pub details: Vec<String>,
    /// What to do about it.
    #[serde(default)]
    pub hint: Option<String>,
}

/// What a check came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CheckResult {
    /// It is so.
    Success,
    /// It is not, and may be meant.
    Warning,
    /// It is not.
    Error,
}
