//! After a good check: more traffic, another iteration, or the promotion.

use super::{Gate, Step};
use crate::{Check, HookKind, Outcome, Phase, Routing, Strategy};

impl Step<'_> {
    pub(super) fn advance(&mut self, checks: Vec<Check>) {
        match self.plan.strategy {
            Strategy::Weights(ref steps) => self.advance_weight(steps, checks),
            Strategy::BlueGreen { iterations } => self.advance_blue_green(iterations, checks),
            Strategy::Ab { iterations } => self.advance_ab(iterations, checks),
        }
    }

    fn advance_weight(&mut self, steps: &[u32], checks: Vec<Check>) {
        let weight = self.state.routing.canary;
        let Some(next) = steps.iter().copied().find(|step| *step > weight) else {
            return self.confirm_promotion(checks);
        };
        if !self.may_increase() {
            return;
        }
        let canary = self.canary();
        if let (Some(mirror), 0, false) = (self.plan.mirror, weight, self.state.mirrored) {
            self.state.mirrored = true;
            self.route(Routing {
                mirror,
                ..Routing::PRIMARY
            });
            return self.advanced("Start traffic mirroring".to_owned(), checks);
        }
        self.route(Routing::split(next));
        self.advanced(format!("Advance {canary} canary weight {next}"), checks);
    }

    fn advance_blue_green(&mut self, iterations: u32, checks: Vec<Check>) {
        let done = self.state.iterations;
        if done > iterations {
            return self.confirm_promotion(checks);
        }
        if !self.may_increase() {
            return;
        }
        let canary = self.canary();
        if done < iterations {
            let mirror = self.plan.mirror.unwrap_or_default();
            self.route(Routing {
                mirror,
                ..Routing::PRIMARY
            });
            self.state.iterations += 1;
            let done = self.state.iterations;
            let message = format!("Advance {canary} canary iteration {done}/{iterations}");
            return self.advanced(message, checks);
        }
        // The gate is before callers see the canary, not after.
        if !self.may_promote(&checks) {
            return;
        }
        self.state.iterations += 1;
        self.route(Routing::split(self.plan.total));
        self.advanced("Routing all traffic to canary".to_owned(), checks);
    }

    fn advance_ab(&mut self, iterations: u32, checks: Vec<Check>) {
        if self.state.iterations >= iterations {
            return self.confirm_promotion(checks);
        }
        if !self.may_increase() {
            return;
        }
        self.route(Routing {
            matched: true,
            ..Routing::PRIMARY
        });
        self.state.iterations += 1;
        let (canary, done) = (self.canary(), self.state.iterations);
        let message = format!("Advance {canary} canary iteration {done}/{iterations}");
        self.advanced(message, checks);
    }

    fn advanced(&mut self, message: String, checks: Vec<Check>) {
        self.set_phase(Phase::Progressing);
        self.info(message.clone());
        self.decide(Outcome::Advance, message, checks);
    }

    fn may_increase(&mut self) -> bool {
        match self.gate(HookKind::ConfirmTrafficIncrease) {
            Gate::Open => true,
            Gate::Asked => false,
            Gate::Closed(text) => {
                let canary = self.canary();
                let reason = format!("waiting for approval of more traffic {text}");
                self.warn(format!("Halt {canary} advancement {reason}"));
                self.decide(Outcome::Hold, reason, Vec::new());
                false
            }
        }
    }

    fn may_promote(&mut self, checks: &[Check]) -> bool {
        match self.gate(HookKind::ConfirmPromotion) {
            Gate::Open => true,
            Gate::Asked => false,
            Gate::Closed(text) => {
                if self.state.phase != Phase::WaitingPromotion {
                    let canary = self.canary();
                    let reason = format!("waiting for promotion approval {text}");
                    self.warn(format!("Halt {canary} advancement {reason}"));
                    self.decide(Outcome::Hold, reason, checks.to_vec());
                    self.set_phase(Phase::WaitingPromotion);
                }
                false
            }
        }
    }

    fn confirm_promotion(&mut self, checks: Vec<Check>) {
        // Blue/green has asked before it sent callers to the canary.
        let is_asked = matches!(self.plan.strategy, Strategy::BlueGreen { .. });
        if is_asked || self.may_promote(&checks) {
            self.copy("the analysis is complete", checks);
        }
    }
}
