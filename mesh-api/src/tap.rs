use crate::{Peer, Question, Resource, StatusRange, duration};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// `GET /api/v1/tap`: asks for requests as they happen.
///
/// The answer goes on until the client closes it: one JSON object for each event, a line each, in
/// the format of `linkerd viz tap -o json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
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
    /// Only requests of the route with this name.
    pub route: Option<String>,
    /// Only exchanges whose response has a status in this range.
    pub status: Option<StatusRange>,
    /// Only exchanges whose response, or an error instead of it, took at least this long: whole
    /// milliseconds.
    pub slower_than: Option<Duration>,
    /// Only exchanges that went wrong for this reason: `timeout`, `reset`.
    pub reason: Option<String>,
    /// Only retries.
    pub retried: bool,
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
            route: None,
            status: None,
            slower_than: None,
            reason: None,
            retried: false,
            headers: false,
        }
    }
}

impl Question for TapRequest {
    const PATH: &'static str = "/api/v1/tap";
}

/// Parameters of a [`TapRequest`].
#[derive(Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
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
    #[serde(default, skip_serializing_if = "Option::is_none")]
    route: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    status: Option<StatusRange>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    slower_than: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    retried: bool,
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
        let slower_than = fields.slower_than.map(|text| {
            let form = "is not a duration such as 300ms or 1.5s";
            duration::parse(&text).ok_or_else(|| format!("slower_than {text:?} {form}"))
        });
        Ok(Self {
            resource: fields.resource,
            namespace: fields.namespace,
            to: Peer::from_fields(fields.to.as_deref(), fields.to_namespace)?,
            max_rps: fields.max_rps,
            scheme: fields.scheme,
            method: fields.method,
            authority: fields.authority,
            path: fields.path,
            route: fields.route,
            status: fields.status,
            slower_than: slower_than.transpose()?,
            reason: fields.reason,
            retried: fields.retried,
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
            route: request.route,
            status: request.status,
            slower_than: request.slower_than.map(duration::format),
            reason: request.reason,
            retried: request.retried,
            headers: request.headers,
        }
    }
}
