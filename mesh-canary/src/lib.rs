#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod decision;
mod effect;
mod event;
mod machine;
mod plan;
mod routing;
pub mod sequential;
pub mod spec;
mod state;

pub use self::{
    decision::{Check, Decision, History, MAX_HISTORY, Outcome},
    effect::{Effect, Severity},
    event::{Answer, Event, Failure, Measured, Observed, Replicas, Value},
    machine::Machine,
    plan::{
        Affinity, Hook, HookKind, Metric, MetricSource, NoTraffic, Plan, Range, Statistics,
        Strategy,
    },
    routing::Routing,
    state::{Phase, Revision, Stage, State, Tick},
};
