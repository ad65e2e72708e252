use crate::spec::TrafficMatch;
use std::time::Duration;

/// A checked Canary: the settings that a [`Machine`](crate::Machine) obeys.
///
/// Made from a [`CanarySpec`](crate::spec::CanarySpec) by `try_from`, and valid past it.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Plan {
    /// The target's name; the primary's is this and `-primary`.
    pub name: String,
    /// The namespace.
    pub namespace: String,
    /// The pause between two ticks.
    pub interval: Duration,
    /// The failed checks that trigger the rollback; at least 1.
    pub threshold: u32,
    /// The way in which traffic moves to the canary.
    pub strategy: Strategy,
    /// The requests of an A/B analysis: those that any of these selects.
    pub matches: Vec<TrafficMatch>,
    /// The sum of all weights: 100, or the largest of `stepWeights` above it.
    pub total: u32,
    /// Weight that returns to the primary at each tick of a promotion; 0 is all at once.
    pub step_promotion: u32,
    /// Percentage of requests to mirror before (weights) or during (blue/green) the analysis.
    pub mirror: Option<u32>,
    /// Users stay with the revision they saw.
    pub affinity: Option<Affinity>,
    /// Percentage of the primary's replicas that must be available.
    pub primary_ready: u32,
    /// Percentage of the canary's replicas that must be available.
    pub canary_ready: u32,
    /// The time that either has to become ready.
    pub progress_deadline: Duration,
    /// Promotes without an analysis.
    pub skip_analysis: bool,
    /// Does nothing.
    pub suspend: bool,
    /// Gives traffic back to the target when the Canary is deleted.
    pub revert_on_deletion: bool,
    /// The metrics to check.
    pub metrics: Vec<Metric>,
    /// The webhooks to call.
    pub hooks: Vec<Hook>,
    /// The policy for an interval without traffic.
    pub no_traffic: NoTraffic,
    /// The rule by which success rates are judged.
    pub statistics: Statistics,
}

impl Plan {
    /// Returns true if there are webhooks of `kind`.
    pub fn has(&self, kind: HookKind) -> bool {
        self.hooks.iter().any(|hook| hook.kind == kind)
    }
}

/// Ways in which traffic moves to the canary.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Strategy {
    /// In steps of these weights, each larger than the one before.
    Weights(Vec<u32>),
    /// Blue/green: so many checks without traffic of callers, then all of it.
    BlueGreen {
        /// The number of checks.
        iterations: u32,
    },
    /// A/B: the requests that [`Plan::matches`] selects, for so many checks.
    Ab {
        /// The number of checks.
        iterations: u32,
    },
}

/// Session affinity by a cookie.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Affinity {
    /// The cookie's name.
    pub cookie: String,
    /// The time that a user stays.
    pub max_age: Duration,
}

/// A metric to check.
#[derive(Clone, Debug, PartialEq)]
pub struct Metric {
    /// The name.
    pub name: String,
    /// The source of its values.
    pub source: MetricSource,
    /// The values that pass.
    pub range: Range,
    /// The window it is computed over.
    pub interval: Duration,
}

/// Sources of a metric.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum MetricSource {
    /// `request-success-rate`, in percent.
    SuccessRate,
    /// `request-duration`: the 99th percentile, in milliseconds.
    Duration,
    /// A query of Prometheus.
    Query(String),
    /// A MetricTemplate: its name and namespace.
    Template(String, Option<String>),
}

/// Values that pass, ends included; an absent end is no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Range {
    /// The smallest.
    pub min: Option<f64>,
    /// The largest.
    pub max: Option<f64>,
}

impl Range {
    /// Returns true if `value` passes; NaN never does.
    pub fn contains(self, value: f64) -> bool {
        !value.is_nan()
            && self.min.is_none_or(|min| value >= min)
            && self.max.is_none_or(|max| value <= max)
    }
}

/// A webhook to call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hook {
    /// The name.
    pub name: String,
    /// The time to call it.
    pub kind: HookKind,
    /// The address.
    pub url: String,
    /// The time that it may take; default 10 s.
    pub timeout: Duration,
    /// The most further attempts after a connection error or a 5xx.
    pub retries: u32,
    /// Passed on in the payload.
    pub metadata: Vec<(String, String)>,
}

/// Kinds of webhook: the `type` of the resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum HookKind {
    /// Before the canary is started; a failure waits.
    ConfirmRollout,
    /// Before the first traffic; a failure is a failed check.
    PreRollout,
    /// At each check; a failure is a failed check.
    Rollout,
    /// Before each increase; a failure waits.
    ConfirmTrafficIncrease,
    /// Before the promotion; a failure waits.
    ConfirmPromotion,
    /// After a success or a failure.
    PostRollout,
    /// At each check; a success rolls back.
    Rollback,
    /// At each published event.
    Event,
}

impl HookKind {
    /// The value of `type` in the resource.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ConfirmRollout => "confirm-rollout",
            Self::PreRollout => "pre-rollout",
            Self::Rollout => "rollout",
            Self::ConfirmTrafficIncrease => "confirm-traffic-increase",
            Self::ConfirmPromotion => "confirm-promotion",
            Self::PostRollout => "post-rollout",
            Self::Rollback => "rollback",
            Self::Event => "event",
        }
    }
}

/// Policies for an interval in which the canary saw no request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize, serde::Deserialize),
    serde(rename_all = "lowercase")
)]
#[non_exhaustive]
pub enum NoTraffic {
    /// Change nothing and count nothing.
    #[default]
    Hold,
    /// Count a failed check, as Flagger does.
    Fail,
    /// Go on as after a good check.
    Pass,
}

/// Rules by which the canary's success rate is judged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize, serde::Deserialize),
    serde(rename_all = "lowercase")
)]
#[non_exhaustive]
pub enum Statistics {
    /// Each interval's rate against the threshold, as Flagger does.
    #[default]
    Threshold,
    /// The [sequential test](crate::sequential) against the primary, at every count.
    Sequential,
}
