use crate::{HookKind, Revision, Routing};

/// A change that the driver of a [`Machine`](crate::Machine) makes to the world.
///
/// Each may be repeated safely: it states the desired state. One that is lost is asked for again at
/// the next tick that observes that it is missing.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Effect {
    /// Send the traffic of the apex there.
    Route(Routing),
    /// Start the canary (true) with as many replicas as it is to have, or end all of them (false).
    ScaleCanary(bool),
    /// Give the primary this revision: template and configuration.
    SetPrimary(Revision),
    /// Point the apex back at the target, and remove the primary: the Canary is deleted.
    Revert,
    /// Call the webhooks of `kind`, in the order of the plan, and answer with
    /// [`Event::Answered`](crate::Event::Answered); stop at the first failure, of `Rollback` at the
    /// first success.
    Call {
        /// The number to answer with.
        call: u64,
        /// The webhooks to call.
        kind: HookKind,
    },
    /// Measure every metric of the plan, and answer with
    /// [`Event::Measured`](crate::Event::Measured).
    Measure {
        /// The number to answer with.
        call: u64,
    },
    /// Call the webhooks of `kind` without waiting for an answer.
    Notify {
        /// The webhooks to call.
        kind: HookKind,
    },
    /// Publish an event about the Canary: in its event list, in the log, to its `event` webhooks.
    Publish {
        /// Severity of the event.
        severity: Severity,
        /// Text for people.
        message: String,
    },
}

/// Severities of a published event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Severity {
    /// As planned.
    Normal,
    /// Somebody may have to act.
    Warning,
}
