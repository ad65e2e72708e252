use crate::Question;
use serde::{Deserialize, Serialize};
use std::net::SocketAddr;

/// `GET /api/v1/version`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct VersionRequest {}

impl Question for VersionRequest {
    const PATH: &'static str = "/api/v1/version";
}

/// Answer to [`VersionRequest`]: the running controller.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct Version {
    /// The controller's version.
    pub version: String,
    /// Namespace of requests that name none.
    pub namespace: String,
    /// Domain that full names of services end in: `cluster.local`.
    pub cluster_domain: String,
    /// Process id of the controller.
    pub pid: u32,
    /// Address of the gRPC API for sidecars.
    pub grpc: SocketAddr,
    /// Address of the read-only HTTP API.
    pub http: SocketAddr,
}
