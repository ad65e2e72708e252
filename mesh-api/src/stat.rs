use crate::{
    Kind, Latency, Namespaces, Peer, Question, Resource, Side, Window, peer::NamespacesFields,
    rate::short,
};
use serde::{Deserialize, Serialize};

/// `GET /api/v1/stat`: asks for the traffic of resources, a [`StatTable`] for each kind.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[serde(try_from = "Fields", into = "Fields")]
pub struct StatRequest {
    /// The resources.
    pub resources: Vec<Resource>,
    /// Their namespaces.
    pub namespaces: Namespaces,
    /// Counts only the requests that they send to, or get from, one resource.
    pub side: Option<Side>,
    /// Time over which to count.
    pub window: Window,
    /// Includes resources without a sidecar.
    pub unmeshed: bool,
}

impl Question for StatRequest {
    const PATH: &'static str = "/api/v1/stat";
}

/// Parameters of a [`StatRequest`].
#[derive(Clone, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
struct Fields {
    /// Separated by commas.
    resources: String,
    window: Window,
    #[serde(skip_serializing_if = "Option::is_none")]
    to: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    to_namespace: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    from: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    from_namespace: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    namespace: Option<String>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    all_namespaces: bool,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    unmeshed: bool,
}

impl TryFrom<Fields> for StatRequest {
    type Error = String;

    fn try_from(fields: Fields) -> Result<Self, String> {
        let resources = fields.resources.split(',').map(str::parse);
        let to = Peer::from_fields(fields.to.as_deref(), fields.to_namespace)?;
        let from = Peer::from_fields(fields.from.as_deref(), fields.from_namespace)?;
        Ok(Self {
            resources: resources
                .collect::<Result<_, crate::ParseResourceError>>()
                .map_err(|error| error.to_string())?,
            namespaces: NamespacesFields {
                namespace: fields.namespace,
                all_namespaces: fields.all_namespaces,
            }
            .into(),
            side: match (to, from) {
                (Some(_), Some(_)) => return Err("to and from are mutually exclusive".to_owned()),
                (Some(to), None) => Some(Side::To(to)),
                (None, from) => from.map(Side::From),
            },
            window: fields.window,
            unmeshed: fields.unmeshed,
        })
    }
}

impl From<StatRequest> for Fields {
    fn from(request: StatRequest) -> Self {
        let resources: Vec<_> = request.resources.iter().map(Resource::to_string).collect();
        let (to, from) = match request.side {
            Some(Side::To(peer)) => (Some(peer), None),
            Some(Side::From(peer)) => (None, Some(peer)),
            None => (None, None),
        };
        let (to, to_namespace) = Peer::into_fields(to);
        let (from, from_namespace) = Peer::into_fields(from);
        let NamespacesFields {
            namespace,
            all_namespaces,
        } = request.namespaces.into();
        Self {
            resources: resources.join(","),
            window: request.window,
            to,
            to_namespace,
            from,
            from_namespace,
            namespace,
            all_namespaces,
            unmeshed: request.unmeshed,
        }
    }
}

/// Traffic of the resources of one kind.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct StatTable {
    /// The kind.
    pub kind: Kind,
    /// A row for each resource, by namespace and name; of a TrafficSplit, for each leaf.
    pub rows: Vec<StatRow>,
}

/// Traffic of one resource; what is unknown is null.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct StatRow {
    /// Its namespace.
    pub namespace: String,
    /// Full name of its kind: `deployment`.
    pub kind: String,
    /// Its name.
    pub name: String,
    /// Service that clients of a TrafficSplit call.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub apex: Option<String>,
    /// Service that gets a share of the requests to the apex.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub leaf: Option<String>,
    /// Weight of the leaf: `900m`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weight: Option<String>,
    /// Status of a pod: `Running`, `Pending` or `Terminating`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<String>,
    /// Replicas with a sidecar, of all: `1/2`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub meshed: Option<String>,
    /// Share of successes, between 0 and 1.
    #[serde(serialize_with = "short")]
    pub success: Option<f64>,
    /// Responses a second.
    #[serde(serialize_with = "short")]
    pub rps: Option<f64>,
    /// Latency of the responses.
    #[serde(flatten)]
    pub latency: Latency,
    /// TCP connections that are open now.
    pub tcp_open_connections: Option<u64>,
    /// Bytes a second that are read.
    #[serde(serialize_with = "short")]
    pub tcp_read_bytes_rate: Option<f64>,
    /// Bytes a second that are written.
    #[serde(serialize_with = "short")]
    pub tcp_write_bytes_rate: Option<f64>,
}
