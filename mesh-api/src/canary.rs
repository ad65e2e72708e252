//! Canary releases: their state, and commands to them.

use crate::Question;
use serde::{Deserialize, Serialize};

/// `GET /api/v1/canaries`: all Canaries, or those of one namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct CanariesRequest {
    /// Only this namespace.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
}

impl Question for CanariesRequest {
    /// `{namespace}/{name}` behind it is one Canary, a [`CanaryDetail`]; a POST to
    /// `{namespace}/{name}/{command}` is a [`CanaryCommand`].
    const PATH: &'static str = "/api/v1/canaries";
}

/// A Canary at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct CanaryRow {
    /// Namespace.
    pub namespace: String,
    /// Name.
    pub name: String,
    /// Workload under analysis.
    pub target: String,
    /// Phase, such as `Progressing`.
    pub phase: String,
    /// Weight of the canary.
    pub weight: u32,
    /// Sum of both weights, usually 100.
    pub total_weight: u32,
    /// Failed checks of this analysis.
    pub failed_checks: u32,
    /// Failed checks that trigger the rollback.
    pub threshold: u32,
    /// Iterations done, of a blue/green analysis.
    pub iterations: u32,
    /// True while the analysis is paused or suspended.
    pub paused: bool,
    /// True while the canary gets no requests.
    pub no_traffic: bool,
    /// Time of the last change of phase, in milliseconds since the Unix epoch.
    pub last_transition: u64,
    /// Last event.
    pub message: String,
}

/// A Canary with its history.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct CanaryDetail {
    /// The Canary.
    #[serde(flatten)]
    pub row: CanaryRow,
    /// Pause between two checks, in seconds.
    pub interval_seconds: f64,
    /// Last decisions with their numbers, oldest first.
    pub decisions: Vec<CanaryDecision>,
    /// Last events, oldest first.
    pub events: Vec<CanaryEvent>,
}

/// A decision of the analysis.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct CanaryDecision {
    /// Time, in milliseconds since the Unix epoch.
    pub at: u64,
    /// `start`, `advance`, `hold`, `fail`, `withdraw`, `promote`, `succeed`, `roll-back` or
    /// `fail-promotion`.
    pub outcome: String,
    /// Weight of the canary after it.
    pub weight: u32,
    /// Failed checks after it.
    pub failed_checks: u32,
    /// Reason.
    pub reason: String,
    /// Metrics that were checked.
    pub checks: Vec<CanaryCheck>,
}

/// A metric as it was checked.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct CanaryCheck {
    /// Name of the metric.
    pub metric: String,
    /// Value: percent for a success rate, milliseconds for a duration; none without samples.
    pub value: Option<f64>,
    /// Requests that the value was computed of.
    pub samples: Option<u64>,
    /// Smallest value that passes.
    pub min: Option<f64>,
    /// Largest value that passes.
    pub max: Option<f64>,
    /// True if it passed.
    pub passed: bool,
}

/// An event of a Canary.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct CanaryEvent {
    /// Time, in milliseconds since the Unix epoch.
    pub at: u64,
    /// True if somebody may have to act.
    pub warning: bool,
    /// Text.
    pub message: String,
}

/// A command of a user to a Canary.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum CanaryCommand {
    /// Promotes without further analysis, or opens the gate that is waited for.
    Promote,
    /// Rolls back.
    Abort,
    /// Stops the analysis where it is.
    Pause,
    /// Lets a paused analysis go on.
    Resume,
}

impl CanaryCommand {
    /// All commands.
    pub const ALL: [Self; 4] = [Self::Promote, Self::Abort, Self::Pause, Self::Resume];

    /// Name in paths.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Promote => "promote",
            Self::Abort => "abort",
            Self::Pause => "pause",
            Self::Resume => "resume",
        }
    }
}

/// Answer to a [`CanaryCommand`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[serde(default)]
pub struct CanaryCommanded {
    /// Events that the command caused.
    pub events: Vec<String>,
}
