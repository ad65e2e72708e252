use crate::{Fault, Question, Resource};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, net::SocketAddr};

/// `GET /api/v1/destination`: asks for what a sidecar in `namespace` is told of an authority.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct DestinationRequest {
    /// The authority: `books:7002`.
    pub authority: String,
    /// Namespace of the client.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// The client, which must exist: `deploy/webapp`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<Resource>,
}

impl Question for DestinationRequest {
    const PATH: &'static str = "/api/v1/destination";
}

/// Answer to [`DestinationRequest`]. `P` is the spec of a ServiceProfile, in JSON as in manifests.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(
    feature = "openapi",
    derive(schemars::JsonSchema),
    schemars(rename = "Destination")
)]
pub struct Destination<P> {
    /// The authority, as requested.
    pub authority: String,
    /// Full name and port of the apex; absent if the mesh does not know the authority.
    pub name: Option<String>,
    /// A service that may have been meant, if the mesh does not know the authority.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// Routes and retry budget.
    pub profile: P,
    /// The ServiceProfile that declares them.
    pub resource: Option<ProfileRef>,
    /// Services that share the requests, by weight.
    pub leaves: Vec<Leaf>,
    /// The TrafficSplit that decides the shares.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub split: Option<ProfileRef>,
    /// TrafficSplits of the service that are not in force, or not with all of their backends, each
    /// with the reason.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub split_problems: Vec<String>,
    /// Faults that are injected into requests to the service, of the client that was named.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub faults: Vec<Fault>,
    /// True if the service does not speak HTTP.
    pub opaque: bool,
}

/// Namespace and name of a ServiceProfile or TrafficSplit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct ProfileRef {
    /// Its namespace: of a ServiceProfile, the client's or the service's.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

/// A service that takes a share of the requests.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct Leaf {
    /// Full name and port.
    pub authority: String,
    /// Its share relative to the sum of all weights.
    pub weight: u32,
    /// True if there is such a service.
    pub exists: bool,
    /// Its addresses.
    pub endpoints: Vec<LeafEndpoint>,
}

/// An address of a leaf.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct LeafEndpoint {
    /// The address.
    pub addr: SocketAddr,
    /// Labels of its pod: `namespace`, `service`, `deployment`, `pod`.
    pub labels: BTreeMap<String, String>,
}
