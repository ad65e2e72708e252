//! The state of a Canary, as the API shows it.

use super::journal::Entry;
use mesh_api::{CanaryCheck, CanaryDecision, CanaryDetail, CanaryEvent, CanaryRow};
use mesh_canary::{Check, Decision, Plan, State};
use mesh_control::model::Canary;
use std::{sync::Arc, time::Duration};

/// A Canary at one moment.
#[derive(Clone, Debug)]
pub(crate) struct CanaryState {
    pub(super) canary: Arc<Canary>,
    pub(super) plan: Plan,
    pub(super) state: State,
    pub(super) events: Vec<Entry>,
}

impl CanaryState {
    /// The state of a Canary that is not driven.
    pub(super) fn refused(canary: Arc<Canary>, plan: Plan, message: String) -> Self {
        let event = Entry {
            at: Duration::ZERO,
            is_warning: true,
            message,
        };
        Self {
            canary,
            plan,
            state: State::default(),
            events: vec![event],
        }
    }

    pub(crate) fn row(&self) -> CanaryRow {
        let Self {
            canary,
            plan,
            state,
            events,
        } = self;
        CanaryRow {
            namespace: canary.namespace.to_string(),
            name: canary.name.to_string(),
            target: plan.name.clone(),
            phase: state.phase.as_str().to_owned(),
            weight: state.routing.canary,
            total_weight: plan.total,
            failed_checks: state.failed_checks,
            threshold: plan.threshold,
            iterations: state.iterations,
            paused: state.paused || plan.suspend,
            no_traffic: state.no_traffic,
            last_transition: millis(state.last_transition),
            message: events
                .last()
                .map(|it| it.message.clone())
                .unwrap_or_default(),
        }
    }

    pub(crate) fn detail(&self) -> CanaryDetail {
        CanaryDetail {
            row: self.row(),
            interval_seconds: self.plan.interval.as_secs_f64(),
            decisions: self.state.history.iter().map(decision).collect(),
            events: self.events.iter().map(event).collect(),
        }
    }
}

fn millis(at: Duration) -> u64 {
    u64::try_from(at.as_millis()).unwrap_or(u64::MAX)
}

fn decision(decision: &Decision) -> CanaryDecision {
    CanaryDecision {
        at: millis(decision.at),
        outcome: decision.outcome.as_str().to_owned(),
        weight: decision.weight,
        failed_checks: decision.failed_checks,
        reason: decision.reason.clone(),
        checks: decision.checks.iter().map(check).collect(),
    }
}

fn check(check: &Check) -> CanaryCheck {
    CanaryCheck {
        metric: check.metric.clone(),
        value: check.value,
        samples: check.samples,
        min: check.min,
        max: check.max,
        passed: check.passed,
    }
}

fn event(entry: &Entry) -> CanaryEvent {
    CanaryEvent {
        at: millis(entry.at),
        warning: entry.is_warning,
        message: entry.message.clone(),
    }
}
