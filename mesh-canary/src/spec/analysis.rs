use crate::{NoTraffic, Statistics};
use std::collections::BTreeMap;

/// The section `analysis`.
#[derive(Clone, Debug, Default, PartialEq)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize, serde::Deserialize),
    serde(rename_all = "camelCase", default)
)]
pub struct Analysis {
    /// The pause between two checks, such as `30s`; default `60s`, at least `1s`.
    pub interval: Option<String>,
    /// The failed checks that trigger the rollback; default 1.
    pub threshold: Option<u32>,
    /// The weight at which promotion begins; default 100.
    pub max_weight: Option<u32>,
    /// Weight added at each step.
    pub step_weight: Option<u32>,
    /// The weight of each step.
    pub step_weights: Vec<u32>,
    /// Weight given back to the primary at each step of a promotion; default all at once.
    pub step_weight_promotion: Option<u32>,
    /// Checks of a blue/green or A/B analysis.
    pub iterations: Option<u32>,
    /// Mirrors requests before any is answered by the canary.
    pub mirror: bool,
    /// The percentage to mirror; default 100.
    pub mirror_weight: Option<u32>,
    /// The requests of an A/B analysis: any of these.
    pub r#match: Vec<TrafficMatch>,
    /// Keeps users with the revision they saw.
    pub session_affinity: Option<SessionAffinity>,
    /// Percentage of the primary's replicas that must be available; default 100.
    pub primary_ready_threshold: Option<u32>,
    /// Percentage of the canary's replicas that must be available; default 100.
    pub canary_ready_threshold: Option<u32>,
    /// The metrics to check.
    pub metrics: Vec<MetricSpec>,
    /// The webhooks to call.
    pub webhooks: Vec<WebhookSpec>,
    /// The alerts to send.
    pub alerts: Vec<AlertSpec>,
    /// The policy for an interval without traffic: `hold` (default), `fail` or `pass`. Ours.
    pub no_traffic: NoTraffic,
    /// The rule for success rates: `threshold` (default) or `sequential`. Ours.
    pub statistics: Statistics,
}

/// Requests of an A/B analysis: those with all of these headers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize, serde::Deserialize),
    serde(default)
)]
pub struct TrafficMatch {
    /// Conditions by header name; a cookie is matched by its header.
    pub headers: BTreeMap<String, StringMatch>,
}

/// A condition on a text; one field is set.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize, serde::Deserialize),
    serde(default)
)]
pub struct StringMatch {
    /// It is this.
    #[cfg_attr(feature = "serde", serde(skip_serializing_if = "Option::is_none"))]
    pub exact: Option<String>,
    /// It begins with this.
    #[cfg_attr(feature = "serde", serde(skip_serializing_if = "Option::is_none"))]
    pub prefix: Option<String>,
    /// It ends with this.
    #[cfg_attr(feature = "serde", serde(skip_serializing_if = "Option::is_none"))]
    pub suffix: Option<String>,
    /// This regular expression matches all of it.
    #[cfg_attr(feature = "serde", serde(skip_serializing_if = "Option::is_none"))]
    pub regex: Option<String>,
}

/// The section `sessionAffinity`.
#[derive(Clone, Debug, Default, PartialEq)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize, serde::Deserialize),
    serde(rename_all = "camelCase", default)
)]
pub struct SessionAffinity {
    /// The name of the cookie.
    pub cookie_name: String,
    /// The seconds that it lasts; default 86400.
    pub max_age: Option<u32>,
}

/// An entry of `metrics`.
#[derive(Clone, Debug, Default, PartialEq)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize, serde::Deserialize),
    serde(rename_all = "camelCase", default)
)]
pub struct MetricSpec {
    /// The name; `request-success-rate` and `request-duration` are built in.
    pub name: String,
    /// The window; default `1m`.
    pub interval: Option<String>,
    /// The smallest success rate in percent, or the largest other value.
    pub threshold: Option<f64>,
    /// The values that pass, instead of `threshold`.
    pub threshold_range: Option<ThresholdRange>,
    /// A query of Prometheus.
    pub query: Option<String>,
    /// A MetricTemplate.
    pub template_ref: Option<TemplateRef>,
    /// Variables of the template.
    pub template_variables: BTreeMap<String, String>,
}

/// The values of a metric that pass.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize, serde::Deserialize),
    serde(default)
)]
pub struct ThresholdRange {
    /// The smallest.
    pub min: Option<f64>,
    /// The largest.
    pub max: Option<f64>,
}

/// A reference to a MetricTemplate.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize, serde::Deserialize),
    serde(default)
)]
pub struct TemplateRef {
    /// The name.
    pub name: String,
    /// The namespace; absent is the Canary's.
    pub namespace: Option<String>,
}

/// An entry of `webhooks`.
#[derive(Clone, Debug, Default, PartialEq)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize, serde::Deserialize),
    serde(rename_all = "camelCase", default)
)]
pub struct WebhookSpec {
    /// The name.
    pub name: String,
    /// The type; absent is `rollout`.
    pub r#type: String,
    /// The address.
    pub url: String,
    /// The time it may take; default `10s`.
    pub timeout: Option<String>,
    /// The most attempts after the first.
    pub retries: Option<u32>,
    /// Passed on in the payload.
    pub metadata: BTreeMap<String, String>,
}

/// An entry of `alerts`.
#[derive(Clone, Debug, Default, PartialEq)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize, serde::Deserialize),
    serde(rename_all = "camelCase", default)
)]
pub struct AlertSpec {
    /// The name.
    pub name: String,
    /// `info`, `warn` or `error`.
    pub severity: String,
    /// The AlertProvider.
    pub provider_ref: TemplateRef,
}
