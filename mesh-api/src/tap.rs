use crate::{Peer, Question, Resource};
use serde::{Deserialize, Serialize};

/// `GET /api/v1/tap`: asks for requests as they happen.
///
/// The answer goes on until the client closes it: one JSON object for each event, a line each, in
/// the format of `linkerd viz tap -o json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Fields", into = "Fields")]
pub struct TapRequest {
    /// The resource whose sidecars are watched.
    pub resource: Resource,
    /// Its namespace; without one, the mesh's own.
    pub namespace: Option<String>,
    /// Only requests to this resource.
    pub to: Option<Peer>,
    /// Requests a second that are shown at most, about; zero means 100.
    pub max_rps: f32,
    /// Only requests of this scheme.
    pub scheme: Option<String>,
    /// Only requests of this method.
    pub method: Option<String>,
    /// Only requests for exactly this authority.
    pub authority: Option<String>,
    /// Only requests whose path begins with this.
    pub path: Option<String>,
    /// Shows headers.
    pub headers: bool,
}

impl TapRequest {
    /// Every request of the sidecars of `resource`.
    pub fn new(resource: Resource) -> Self {
        Self {
            resource,
            namespace: None,
            to: None,
            max_rps: 0.0,
            scheme: None,
            method: None,
            authority: None,
            path: None,
            headers: false,
        }
    }
}

impl Question for TapRequest {
    const PATH: &'static str = "/api/v1/tap";
}

/// Parameters of a [`TapRequest`].
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Fields {
    resource: Resource,
    #[serde(default, skip_serializing_if = "is_zero")]
    max_rps: f32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    namespace: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    to: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    to_namespace: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    scheme: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    method: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    authority: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    path: Option<String>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    headers: bool,
}

#[allow(
    clippy::trivially_copy_pass_by_ref,
    reason = "the signature is serde's"
)]
fn is_zero(rate: &f32) -> bool {
    *rate == 0.0
}

impl TryFrom<Fields> for TapRequest {
    type Error = String;

    fn try_from(fields: Fields) -> Result<Self, String> {
        if !fields.max_rps.is_finite() || fields.max_rps < 0.0 {
            return Err(format!(
                "max_rps needs to be a rate, not {}",
                fields.max_rps
            ));
        }
        Ok(Self {
            resource: fields.resource,
            namespace: fields.namespace,
            to: Peer::from_fields(fields.to.as_deref(), fields.to_namespace)?,
            max_rps: fields.max_rps,
            scheme: fields.scheme,
            method: fields.method,
            authority: fields.authority,
            path: fields.path,
            headers: fields.headers,
        })
    }
}

impl From<TapRequest> for Fields {
    fn from(request: TapRequest) -> Self {
        let (to, to_namespace) = Peer::into_fields(request.to);
        Self {
            resource: request.resource,
            max_rps: request.max_rps,
            namespace: request.namespace,
            to,
            to_namespace,
            scheme: request.scheme,
            method: request.method,
            authority: request.authority,
            path: request.path,
            headers: request.headers,
        }
    }
}
