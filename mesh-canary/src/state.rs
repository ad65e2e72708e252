use crate::{Answer, History, Measured, Routing, sequential::Test};
use std::{fmt, time::Duration};

/// The identity of a template with its configuration, such as a hash.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize, serde::Deserialize),
    serde(transparent)
)]
pub struct Revision(pub String);

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<&str> for Revision {
    fn from(revision: &str) -> Self {
        Self(revision.to_owned())
    }
}

/// Phases of a Canary, as Flagger's `status.phase`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum Phase {
    /// The primary is being made.
    #[default]
    Initializing,
    /// The primary serves; there was no rollout yet.
    Initialized,
    /// A new revision waits for `confirm-rollout`.
    Waiting,
    /// The canary is being analysed.
    Progressing,
    /// The analysis is complete and waits for `confirm-promotion`.
    WaitingPromotion,
    /// The primary is being given the canary's revision.
    Promoting,
    /// The primary has all traffic; the canary is about to end.
    Finalising,
    /// The rollout is complete.
    Succeeded,
    /// The rollout was rolled back, or its promotion failed.
    Failed,
    /// The Canary is being deleted, and traffic returns to the target.
    Terminating,
    /// The Canary is deleted.
    Terminated,
}

impl Phase {
    /// The name in `status.phase`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Initializing => "Initializing",
            Self::Initialized => "Initialized",
            Self::Waiting => "Waiting",
            Self::Progressing => "Progressing",
            Self::WaitingPromotion => "WaitingPromotion",
            Self::Promoting => "Promoting",
            Self::Finalising => "Finalising",
            Self::Succeeded => "Succeeded",
            Self::Failed => "Failed",
            Self::Terminating => "Terminating",
            Self::Terminated => "Terminated",
        }
    }

    /// Returns true while the canary is analysed.
    pub fn is_analysis(self) -> bool {
        matches!(self, Self::Progressing | Self::WaitingPromotion)
    }

    /// Returns true once the primary may have been given the canary's revision.
    pub fn is_promotion(self) -> bool {
        matches!(self, Self::Promoting | Self::Finalising)
    }
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A machine's whole state: the snapshot from which another machine goes on.
///
/// Fields are those of Flagger's `status`, and those that it lacks.
#[derive(Clone, Debug, Default, PartialEq)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize, serde::Deserialize),
    serde(rename_all = "camelCase", default)
)]
#[non_exhaustive]
pub struct State {
    /// The phase.
    pub phase: Phase,
    /// The time of the last change of phase, since the Unix epoch.
    pub last_transition: Duration,
    /// The routing that shall be in force.
    pub routing: Routing,
    /// Iterations done, of a blue/green or A/B analysis.
    pub iterations: u32,
    /// Failed checks of this analysis; a success does not reset them.
    pub failed_checks: u32,
    /// The revision of the last rollout.
    pub last_applied: Option<Revision>,
    /// The revision that the primary was last promoted to: the healthy one.
    pub last_promoted: Option<Revision>,
    /// True once traffic has been mirrored in this analysis.
    pub mirrored: bool,
    /// True while a user has paused the analysis.
    pub paused: bool,
    /// True while the last measurement saw no traffic.
    pub no_traffic: bool,
    /// True if a user asked for promotion, and it is not under way yet.
    pub promote: bool,
    /// The reason of a rollback that is under way.
    pub rollback: Option<String>,
    /// True after a failed promotion: the canary is kept.
    pub stranded: bool,
    /// The time since which the primary is waited for.
    pub primary_since: Option<Duration>,
    /// The time since which the canary is waited for.
    pub canary_since: Option<Duration>,
    /// The sequential test of this analysis.
    pub test: Test,
    /// The number of the next call.
    pub next_call: u64,
    /// The last decisions.
    pub history: History,
    /// The tick under way; a restart forgets it, and the next tick begins anew.
    #[cfg_attr(feature = "serde", serde(skip))]
    pub tick: Tick,
}

/// The tick under way: answers so far, and the call it waits for.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Tick {
    /// The call that is waited for.
    pub pending: Option<(u64, Stage)>,
    /// Answers so far.
    pub answers: Vec<(Stage, Vec<Answer>)>,
    /// The measurement, once made.
    pub measured: Option<Measured>,
}

/// Stages of a tick that wait for an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Stage {
    /// Webhooks of this kind.
    Hooks(crate::HookKind),
    /// The metrics.
    Metrics,
}
