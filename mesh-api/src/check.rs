use crate::Question;
use serde::{Deserialize, Serialize};

/// `GET /api/v1/check`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CheckRequest {}

impl Question for CheckRequest {
    const PATH: &'static str = "/api/v1/check";
}

/// Answer to [`CheckRequest`]: the controller's findings about the mesh.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckReport {
    /// Categories in the order to print them.
    pub categories: Vec<CheckCategory>,
}

/// Checks of one part of the mesh.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckCategory {
    /// Name of the part: `mesh-data-plane`.
    pub name: String,
    /// Checks in the order to print them.
    pub checks: Vec<Check>,
}

/// One property that should hold.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
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
#[serde(rename_all = "lowercase")]
pub enum CheckResult {
    /// The property holds.
    Success,
    /// The property does not hold, which may be intended.
    Warning,
    /// The property does not hold.
    Error,
}
