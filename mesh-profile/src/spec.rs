use crate::Weight;
#[cfg(feature = "serde")]
use crate::lenient;
#[cfg(feature = "serde")]
use serde::{Deserialize, Serialize};

/// A service profile as people write it: the `spec` of a ServiceProfile, in a file, a CRD or JSON.
///
/// Nothing in it has been checked; [`Profile`](crate::Profile) is the compiled form, and its
/// `TryFrom` the only road there. Unknown members are refused, empty ones not written.
#[derive(Clone, Debug, Default, PartialEq)]
#[cfg_attr(feature = "serde", derive(Deserialize, Serialize))]
#[cfg_attr(
    feature = "serde",
    serde(rename_all = "camelCase", deny_unknown_fields, default)
)]
pub struct ProfileSpec {
    /// The routes, tried in order.
    #[cfg_attr(
        feature = "serde",
        serde(
            deserialize_with = "lenient::null_as_default",
            skip_serializing_if = "Vec::is_empty"
        )
    )]
    pub routes: Vec<RouteSpec>,
    /// The limits on retries, shared by all routes; Linkerd's defaults when absent.
    #[cfg_attr(feature = "serde", serde(skip_serializing_if = "Option::is_none"))]
    pub retry_budget: Option<RetryBudgetSpec>,
    /// A weighted split of the service's requests.
    #[cfg_attr(
        feature = "serde",
        serde(
            deserialize_with = "lenient::null_as_default",
            skip_serializing_if = "Vec::is_empty"
        )
    )]
    pub dst_overrides: Vec<WeightedDst>,
    /// Declared by the CRD and without effect, there and here.
    #[cfg_attr(
        feature = "serde",
        serde(
            deserialize_with = "lenient::ports",
            skip_serializing_if = "Vec::is_empty"
        )
    )]
    pub opaque_ports: Vec<String>,
}

/// One route: a name, a condition, and what holds for the requests that meet it.
#[derive(Clone, Debug, Default, PartialEq)]
#[cfg_attr(feature = "serde", derive(Deserialize, Serialize))]
#[cfg_attr(
    feature = "serde",
    serde(rename_all = "camelCase", deny_unknown_fields)
)]
pub struct RouteSpec {
    /// Name of the route in metrics, tap and tables.
    pub name: String,
    /// Condition on the requests of this route.
    pub condition: RequestMatchSpec,
    /// Response classes. The first whose condition holds decides.
    #[cfg_attr(
        feature = "serde",
        serde(
            default,
            deserialize_with = "lenient::null_as_default",
            skip_serializing_if = "Vec::is_empty"
        )
    )]
    pub response_classes: Vec<ResponseClassSpec>,
    /// Permits to send a request twice.
    #[cfg_attr(
        feature = "serde",
        serde(default, skip_serializing_if = "std::ops::Not::not")
    )]
    pub is_retryable: bool,
    /// The limit until the response head, retries included: a Go duration.
    #[cfg_attr(
        feature = "serde",
        serde(default, skip_serializing_if = "Option::is_none")
    )]
    pub timeout: Option<String>,
}

/// A condition on requests. Several members hold together; at least one must be present.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(Deserialize, Serialize))]
#[cfg_attr(
    feature = "serde",
    serde(rename_all = "camelCase", deny_unknown_fields, default)
)]
pub struct RequestMatchSpec {
    /// All of these hold; an empty list always does.
    #[cfg_attr(feature = "serde", serde(skip_serializing_if = "Option::is_none"))]
    pub all: Option<Vec<Self>>,
    /// At least one of these holds; with an empty list none does.
    #[cfg_attr(feature = "serde", serde(skip_serializing_if = "Option::is_none"))]
    pub any: Option<Vec<Self>>,
    /// The method is this one, case included.
    #[cfg_attr(feature = "serde", serde(skip_serializing_if = "Option::is_none"))]
    pub method: Option<String>,
    /// This does not hold. A list of one is accepted too: Linkerd's schema asks for it.
    #[cfg_attr(
        feature = "serde",
        serde(
            deserialize_with = "lenient::one",
            skip_serializing_if = "Option::is_none"
        )
    )]
    pub not: Option<Box<Self>>,
    /// The whole raw path matches this regular expression.
    #[cfg_attr(feature = "serde", serde(skip_serializing_if = "Option::is_none"))]
    pub path_regex: Option<String>,
}

/// The class of the responses that meet a condition.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(Deserialize, Serialize))]
#[cfg_attr(
    feature = "serde",
    serde(rename_all = "camelCase", deny_unknown_fields)
)]
pub struct ResponseClassSpec {
    /// Condition on the responses.
    pub condition: ResponseMatchSpec,
    /// The responses are failures if true, else successes.
    #[cfg_attr(
        feature = "serde",
        serde(default, skip_serializing_if = "std::ops::Not::not")
    )]
    pub is_failure: bool,
}

/// A condition on responses. Several members hold together; at least one must be present.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(Deserialize, Serialize))]
#[cfg_attr(
    feature = "serde",
    serde(rename_all = "camelCase", deny_unknown_fields, default)
)]
pub struct ResponseMatchSpec {
    /// All of these hold; an empty list always does.
    #[cfg_attr(feature = "serde", serde(skip_serializing_if = "Option::is_none"))]
    pub all: Option<Vec<Self>>,
    /// At least one of these holds; with an empty list none does.
    #[cfg_attr(feature = "serde", serde(skip_serializing_if = "Option::is_none"))]
    pub any: Option<Vec<Self>>,
    /// This does not hold.
    #[cfg_attr(
        feature = "serde",
        serde(
            deserialize_with = "lenient::one",
            skip_serializing_if = "Option::is_none"
        )
    )]
    pub not: Option<Box<Self>>,
    /// The status is in this range.
    #[cfg_attr(feature = "serde", serde(skip_serializing_if = "Option::is_none"))]
    pub status: Option<StatusRangeSpec>,
}

/// An inclusive range of status codes; zero is an absent bound, and one bound alone is that code.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(Deserialize, Serialize))]
#[cfg_attr(feature = "serde", serde(deny_unknown_fields, default))]
pub struct StatusRangeSpec {
    /// The highest.
    #[cfg_attr(feature = "serde", serde(skip_serializing_if = "is_zero"))]
    pub max: u32,
    /// The lowest.
    #[cfg_attr(feature = "serde", serde(skip_serializing_if = "is_zero"))]
    pub min: u32,
}

/// The declared retry budget.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(Deserialize, Serialize))]
#[cfg_attr(
    feature = "serde",
    serde(rename_all = "camelCase", deny_unknown_fields)
)]
pub struct RetryBudgetSpec {
    /// Retries per second that are always allowed.
    pub min_retries_per_second: u32,
    /// Retries per original request.
    pub retry_ratio: f64,
    /// The window: a Go duration from 1 s to 60 s.
    pub ttl: String,
}

/// A leaf of the split that a profile declares.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(Deserialize, Serialize))]
#[cfg_attr(feature = "serde", serde(deny_unknown_fields))]
pub struct WeightedDst {
    /// `host[:port]`; without a port, that of the request.
    pub authority: String,
    /// The share, relative to the sum.
    pub weight: Weight,
}

impl RequestMatchSpec {
    /// The requests of this method.
    pub fn method(method: impl Into<String>) -> Self {
        Self {
            method: Some(method.into()),
            ..Self::default()
        }
    }

    /// The requests whose path matches `regex` in full.
    pub fn path_regex(regex: impl Into<String>) -> Self {
        Self {
            path_regex: Some(regex.into()),
            ..Self::default()
        }
    }
}

#[cfg(feature = "serde")]
#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "the signature is serde's"
)]
fn is_zero(bound: &u32) -> bool {
    *bound == 0
}
