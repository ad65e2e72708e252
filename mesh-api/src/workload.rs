//! Changes of what runs.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Body of `PATCH /api/v1/workloads/{namespace}/{name}`, and the answer to it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct WorkloadChange {
    /// Number of replicas from now on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replicas: Option<u32>,
    /// Revision from now on: replicas of another one are replaced, one after the other.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub revision: Option<String>,
    /// Environment variables from now on; one without a value is removed.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub env: BTreeMap<String, Option<String>>,
}

impl WorkloadChange {
    /// Path of all workloads.
    pub const PATH: &'static str = "/api/v1/workloads";
}
