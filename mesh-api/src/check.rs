use crate::Question;
use serde::{Deserialize, Serialize};
use std::net::SocketAddr;

/// `GET /api/v1/check`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct CheckRequest {}

impl Question for CheckRequest {
    const PATH: &'static str = "/api/v1/check";
}

/// Answer to [`CheckRequest`]: the controller's findings about the mesh.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct CheckReport {
    /// Categories in the order to print them.
    pub categories: Vec<CheckCategory>,
    /// Sidecars that the controller knows, for a client that asks them itself.
    #[serde(default)]
    pub sidecars: Vec<SidecarAddr>,
}

/// Address of a sidecar's admin server.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct SidecarAddr {
    /// Name of its replica.
    pub pod: String,
    /// Address of its admin server, which serves `/metrics`.
    pub admin: SocketAddr,
}

/// Checks of one part of the mesh.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct CheckCategory {
    /// Name of the part: `mesh-data-plane`.
    pub name: String,
    /// Checks in the order to print them.
    pub checks: Vec<Check>,
}

/// One property that should hold.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct Check {
    /// The property: `every replica is ready`.
    pub description: String,
    /// Result of the check.
    pub result: CheckResult,
    /// Findings that contradict it, a line each.
    #[serde(default)]
    pub details: Vec<String>,
    /// Advice for mending it.
    #[serde(default)]
    pub hint: Option<String>,
}

/// Result of a check.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum CheckResult {
    /// The property holds.
    Success,
    /// The property does not hold, which may be intended.
    Warning,
    /// The property does not hold.
    Error,
}
