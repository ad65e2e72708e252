use std::{collections::VecDeque, fmt, time::Duration};

/// The most decisions that a machine remembers; the oldest is forgotten first.
pub const MAX_HISTORY: usize = 100;

/// A decision of the analysis, with the numbers that it was made from.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Decision {
    /// The time of the decision, since the Unix epoch.
    pub at: Duration,
    /// The outcome.
    pub outcome: Outcome,
    /// The weight of the canary after it.
    pub weight: u32,
    /// Failed checks after it.
    pub failed_checks: u32,
    /// The reason, for people.
    pub reason: String,
    /// The metrics that were checked.
    pub checks: Vec<Check>,
}

/// Outcomes of a decision.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum Outcome {
    /// A rollout began, or its analysis began anew.
    Start,
    /// The canary got more traffic, or another iteration.
    Advance,
    /// Nothing changed, and nothing was counted against the canary.
    Hold,
    /// A check failed.
    Fail,
    /// The canary lost its traffic, because none of it was available.
    Withdraw,
    /// The canary's revision was given to the primary.
    Promote,
    /// The primary took over: the rollout is complete.
    Succeed,
    /// The canary lost its traffic for good.
    RollBack,
    /// The primary did not become ready with the canary's revision.
    FailPromotion,
}

impl Outcome {
    /// Lower case, with dashes, for tables and JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Advance => "advance",
            Self::Hold => "hold",
            Self::Fail => "fail",
            Self::Withdraw => "withdraw",
            Self::Promote => "promote",
            Self::Succeed => "succeed",
            Self::RollBack => "roll-back",
            Self::FailPromotion => "fail-promotion",
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One metric as it was checked.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Check {
    /// The metric's name.
    pub metric: String,
    /// Its value; none if there was no sample.
    pub value: Option<f64>,
    /// The requests it was computed of, if known.
    pub samples: Option<u64>,
    /// The smallest value that passes.
    pub min: Option<f64>,
    /// The largest value that passes.
    pub max: Option<f64>,
    /// True if it passed.
    pub passed: bool,
}

/// The last [`MAX_HISTORY`] decisions, oldest first.
#[derive(Clone, Debug, Default, PartialEq)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize, serde::Deserialize),
    serde(transparent)
)]
pub struct History(VecDeque<Decision>);

impl History {
    /// The decisions, oldest first.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &Decision> {
        self.0.iter()
    }

    /// The latest decision.
    pub fn last(&self) -> Option<&Decision> {
        self.0.back()
    }

    /// Forgets all decisions.
    pub fn clear(&mut self) {
        self.0.clear();
    }

    pub(crate) fn push(&mut self, decision: Decision) {
        while self.0.len() >= MAX_HISTORY {
            self.0.pop_front();
        }
        self.0.push_back(decision);
    }
}
