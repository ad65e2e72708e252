use crate::{
    Latency, Peer, Question, Rate, Resource, Window,
    rate::{actual, effective},
};
use serde::{Deserialize, Serialize};

/// `GET /api/v1/routes`: asks for the traffic of routes, a [`RouteTable`] for each resource.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[serde(try_from = "Fields", into = "Fields")]
pub struct RoutesRequest {
    /// The resource that serves the routes, or with `to` calls them.
    pub resource: Resource,
    /// Its namespace; without one, the mesh's own.
    pub namespace: Option<String>,
    /// The resource that is called.
    pub to: Option<Peer>,
    /// Time over which to count.
    pub window: Window,
}

impl Question for RoutesRequest {
    const PATH: &'static str = "/api/v1/routes";
}

/// Parameters of a [`RoutesRequest`].
#[derive(Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
struct Fields {
    resource: Resource,
    #[serde(default)]
    window: Window,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    to: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    to_namespace: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    namespace: Option<String>,
}

impl TryFrom<Fields> for RoutesRequest {
    type Error = String;

    fn try_from(fields: Fields) -> Result<Self, String> {
        Ok(Self {
            resource: fields.resource,
            namespace: fields.namespace,
            to: Peer::from_fields(fields.to.as_deref(), fields.to_namespace)?,
            window: fields.window,
        })
    }
}

impl From<RoutesRequest> for Fields {
    fn from(request: RoutesRequest) -> Self {
        let (to, to_namespace) = Peer::into_fields(request.to);
        Self {
            resource: request.resource,
            window: request.window,
            to,
            to_namespace,
            namespace: request.namespace,
        }
    }
}

/// Routes of one resource.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct RouteTable {
    /// The resource, in short form: `deploy/webapp`.
    pub resource: String,
    /// A row for each route of each service, by service and route.
    pub rows: Vec<RouteRow>,
}

/// Traffic of one route; what is unknown is null.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct RouteRow {
    /// Name of the route, `[DEFAULT]` for requests that match none.
    pub route: String,
    /// Full name of the service.
    pub authority: String,
    /// Rate as callers see it, retries included.
    #[serde(flatten, with = "effective")]
    #[cfg_attr(feature = "openapi", schemars(with = "effective::Named"))]
    pub effective: Rate,
    /// Rate of single attempts; known only of requests that a workload sends.
    #[serde(flatten, with = "actual")]
    #[cfg_attr(feature = "openapi", schemars(with = "actual::Named"))]
    pub actual: Rate,
    /// Latency as callers see it.
    #[serde(flatten)]
    pub latency: Latency,
}
