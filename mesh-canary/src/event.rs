use crate::{Revision, Routing, sequential::Counts};

/// Inputs of a [`Machine`](crate::Machine).
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Event {
    /// The interval of the analysis has passed, or something in the world changed.
    Tick,
    /// Webhooks have answered: one answer for each that was called, in the order of the plan.
    Answered {
        /// The number of the call.
        call: u64,
        /// The answers.
        answers: Vec<Answer>,
    },
    /// The metrics of the plan were measured.
    Measured {
        /// The number of the call.
        call: u64,
        /// The measurements.
        measured: Measured,
    },
    /// Requests were counted since the last such event, for [`Statistics::Sequential`]; every second
    /// is often enough.
    ///
    /// [`Statistics::Sequential`]: crate::Statistics::Sequential
    Counted(Counts),
    /// A user asks for promotion without further analysis, or opens the gate that is waited for.
    Promote,
    /// A user asks for the rollback.
    Abort,
    /// A user stops the analysis where it is.
    Pause,
    /// A user lets a paused analysis go on.
    Resume,
    /// The Canary is being deleted.
    Delete,
}

/// The answer of a webhook: success, or the text of its failure.
pub type Answer = Result<(), String>;

/// The metrics of a plan over their intervals.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Measured {
    /// Requests to the canary over the interval, if the driver counts them.
    pub requests: Option<u64>,
    /// One value for each metric of the plan, in its order.
    pub values: Vec<Result<Value, Failure>>,
}

/// A value of a metric.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Value {
    /// Percent for a success rate, milliseconds for a duration; none if there was no sample.
    pub value: Option<f64>,
    /// The requests it was computed of, if known.
    pub samples: Option<u64>,
}

/// A metric that could not be read, such as from a server that is gone; traffic stays where it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure(pub String);

/// The world as the driver sees it when an event arrives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Observed {
    /// The revision that the target is to run: its template and the configuration it refers to.
    pub target: Revision,
    /// The revision that the primary is to run; none if there is no primary.
    pub primary_revision: Option<Revision>,
    /// The replicas of the primary.
    pub primary: Replicas,
    /// The replicas of the target, which is the canary.
    pub canary: Replicas,
    /// The routing in force; none if there is none.
    pub routing: Option<Routing>,
}

/// Replicas of one revision.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Replicas {
    /// Replicas that shall be.
    pub desired: u32,
    /// Replicas of the current revision that can serve.
    pub available: u32,
    /// True if the platform has given up on the rest.
    pub failed: bool,
}

impl Replicas {
    /// Returns true if at least one can serve.
    pub fn is_usable(self) -> bool {
        self.available > 0
    }

    /// Returns true if at least one, and at least `threshold` percent of the desired ones, can serve.
    pub fn is_ready(self, threshold: u32) -> bool {
        self.is_usable()
            && u64::from(self.available) * 100 >= u64::from(self.desired) * u64::from(threshold)
    }
}
