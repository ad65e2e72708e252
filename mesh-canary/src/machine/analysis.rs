//! The checks of a tick: webhooks, traffic, metrics.

use super::{Gate, Step};
use crate::{
    Check, Effect, HookKind, Measured, MetricSource, NoTraffic, Outcome, Routing, Stage,
    Statistics,
    sequential::{ALPHA, Verdict},
};

/// The result of the checks.
enum Checked {
    Asked,
    Passed(Vec<Check>),
    Failed,
    Held,
}

impl Step<'_> {
    pub(super) fn analyse(&mut self) {
        let canary = self.canary();
        if !self.primary_is_ready() {
            if self.is_overdue(self.state.primary_since, self.observed.primary) {
                self.begin_rollback("progress deadline of the primary exceeded".to_owned());
                self.roll_back();
            }
            return;
        }
        if !self.canary_is_analysed() {
            self.info(format!(
                "New revision detected! Restarting analysis for {canary}"
            ));
            return self.begin("new revision during the analysis");
        }
        if !self.canary_is_ready() {
            if self.is_overdue(self.state.canary_since, self.observed.canary) {
                self.begin_rollback("progress deadline exceeded".to_owned());
                self.roll_back();
            }
            return;
        }
        if self.plan.skip_analysis || self.state.promote {
            let reason = match self.state.promote {
                true => "asked for by user",
                false => "skipAnalysis",
            };
            return self.copy(reason, Vec::new());
        }
        if self.plan.has(HookKind::Rollback) {
            match self.answers(HookKind::Rollback) {
                None => return,
                Some(answers) if answers.iter().any(Result::is_ok) => {
                    self.begin_rollback("manual webhook invoked".to_owned());
                    return self.roll_back();
                }
                Some(_) => {}
            }
        }
        if self.state.failed_checks >= self.plan.threshold {
            let failed = self.state.failed_checks;
            self.begin_rollback(format!("failed checks threshold reached {failed}"));
            return self.roll_back();
        }
        match self.check() {
            Checked::Asked | Checked::Failed | Checked::Held => {}
            Checked::Passed(checks) => self.advance(checks),
        }
    }

    fn check(&mut self) -> Checked {
        let is_first = self.state.routing == Routing::PRIMARY && self.state.iterations == 0;
        let (kind, word) = match is_first {
            true => (HookKind::PreRollout, "pre-rollout"),
            false => (HookKind::Rollout, "rollout"),
        };
        let canary = self.canary();
        let is_asked_now = self.state.tick.answers.iter();
        let is_asked_now = !is_asked_now
            .map(|(stage, _)| *stage)
            .any(|stage| stage == Stage::Hooks(kind));
        if is_first && is_asked_now {
            self.info(format!("Starting canary analysis for {canary}"));
        }
        match self.gate(kind) {
            Gate::Asked => return Checked::Asked,
            Gate::Closed(text) => {
                return self.fail(format!("{word} check {text}"), Vec::new());
            }
            Gate::Open => {}
        }
        // Nothing has been sent to the canary yet, so there is nothing to measure.
        if is_first || self.plan.metrics.is_empty() {
            return Checked::Passed(Vec::new());
        }
        match self.state.tick.measured.take() {
            None => {
                let call = self.next_call(Stage::Metrics);
                self.effects.push(Effect::Measure { call });
                Checked::Asked
            }
            Some(measured) => {
                let checked = self.judge(&measured);
                self.state.tick.measured = Some(measured);
                checked
            }
        }
    }

    fn fail(&mut self, reason: String, checks: Vec<Check>) -> Checked {
        self.state.failed_checks = self.state.failed_checks.saturating_add(1);
        let canary = self.canary();
        self.warn(format!("Halt {canary} advancement {reason}"));
        self.decide(Outcome::Fail, reason, checks);
        Checked::Failed
    }

    fn hold(&mut self, reason: String, checks: Vec<Check>) -> Checked {
        let canary = self.canary();
        self.warn(format!("Halt {canary} advancement {reason}"));
        self.decide(Outcome::Hold, reason, checks);
        Checked::Held
    }

    fn judge(&mut self, measured: &Measured) -> Checked {
        // Without a count of requests, no value at all means the same.
        let is_empty = measured.values.iter().all(|value| {
            let value = value.as_ref();
            value.is_ok_and(|value| value.value.is_none())
        });
        let no_traffic = measured.requests.map_or(is_empty, |requests| requests == 0);
        self.state.no_traffic = no_traffic;
        if no_traffic {
            let reason = format!("{} is not receiving traffic", self.canary());
            match self.plan.no_traffic {
                NoTraffic::Hold => return self.hold(reason, Vec::new()),
                NoTraffic::Fail => return self.fail(reason, Vec::new()),
                NoTraffic::Pass => return Checked::Passed(Vec::new()),
            }
        }
        let mut checks = Vec::new();
        for (position, metric) in self.plan.metrics.iter().enumerate() {
            let sequential = self.plan.statistics == Statistics::Sequential;
            if sequential && metric.source == MetricSource::SuccessRate {
                checks.push(self.sequential_check());
                continue;
            }
            let value = match measured.values.get(position) {
                Some(Ok(value)) => *value,
                Some(Err(failure)) => {
                    let reason = format!("metric {} not read: {}", metric.name, failure.0);
                    return self.hold(reason, checks);
                }
                None => {
                    return self.hold(format!("metric {} not measured", metric.name), checks);
                }
            };
            // NaN is what a query of nothing gives.
            let number = value.value.filter(|value| !value.is_nan());
            let passed = number.is_some_and(|value| metric.range.contains(value));
            checks.push(Check {
                metric: metric.name.clone(),
                value: number,
                samples: value.samples,
                min: metric.range.min,
                max: metric.range.max,
                passed,
            });
            if !passed {
                let reason = match number {
                    None => format!("no values found for metric {}", metric.name),
                    Some(value) => violation(metric, value),
                };
                return self.fail(reason, checks);
            }
        }
        Checked::Passed(checks)
    }

    /// The sequential test as a check: its evidence against what it takes.
    pub(super) fn sequential_check(&self) -> Check {
        let test = &self.state.test;
        Check {
            metric: "request-success-rate (sequential evidence)".to_owned(),
            value: Some(test.evidence()),
            samples: Some(test.counts().canary_requests),
            min: None,
            max: Some(1.0 / ALPHA),
            passed: test.verdict() == Verdict::Undecided,
        }
    }
}

fn violation(metric: &crate::Metric, value: f64) -> String {
    let is_low = metric.range.min.is_some_and(|min| value < min);
    let (sign, limit) = match is_low {
        true => ("<", metric.range.min),
        false => (">", metric.range.max),
    };
    let limit = limit.unwrap_or_default();
    match metric.source {
        MetricSource::SuccessRate => format!("success rate {value:.2}% {sign} {limit}%"),
        MetricSource::Duration => format!("request duration {value:.0}ms {sign} {limit}ms"),
        _ => format!("{} {value:.2} {sign} {limit}", metric.name),
    }
}
