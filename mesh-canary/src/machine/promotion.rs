//! The promotion: the primary gets the canary's revision, then the traffic, then the canary ends.

use super::Step;
use crate::{Check, Effect, HookKind, Outcome, Phase, Routing};

impl Step<'_> {
    /// Gives the canary's revision to the primary. Traffic stays where it is.
    pub(super) fn copy(&mut self, reason: &str, checks: Vec<Check>) {
        let Some(revision) = self.state.last_applied.clone() else {
            return;
        };
        let (canary, primary) = (self.canary(), self.primary());
        self.info(format!("Copying {canary} template spec to {primary}"));
        self.effects.push(Effect::SetPrimary(revision));
        let mirroring = self.state.routing.mirror > 0;
        if mirroring {
            self.route(Routing::PRIMARY);
        }
        self.state.promote = false;
        self.set_phase(Phase::Promoting);
        self.decide(Outcome::Promote, reason.to_owned(), checks);
    }

    pub(super) fn promote(&mut self) {
        if !self.primary_has_taken_over() {
            return;
        }
        let (canary, step) = (self.canary(), self.plan.step_promotion);
        let weight = self.state.routing.canary;
        if step > 0 && weight > step {
            self.route(Routing::split(weight - step));
            let primary = self.plan.total - self.state.routing.canary;
            self.info(format!("Advance {canary} primary weight {primary}"));
            return;
        }
        self.route(Routing::PRIMARY);
        self.info("Routing all traffic to primary".to_owned());
        self.set_phase(Phase::Finalising);
    }

    pub(super) fn finalise(&mut self) {
        if !self.primary_has_taken_over() {
            return;
        }
        // The primary may have been away for a while, and its traffic on the canary.
        self.route(Routing::PRIMARY);
        let canary = self.canary();
        self.scale_canary(false);
        self.info(format!("Promotion completed! Scaling down {canary}"));
        self.clear_analysis();
        self.state
            .last_promoted
            .clone_from(&self.state.last_applied);
        self.set_phase(Phase::Succeeded);
        self.decide(
            Outcome::Succeed,
            "promotion completed".to_owned(),
            Vec::new(),
        );
        self.notify(HookKind::PostRollout);
    }

    /// Waits for the primary with the canary's revision; a promotion that takes too long has failed.
    fn primary_has_taken_over(&mut self) -> bool {
        let is_set = self.observed.primary_revision == self.state.last_applied;
        if let (false, Some(revision)) = (is_set, self.state.last_applied.clone()) {
            // Lost on the way, as when the controller was killed just then: its time begins later.
            self.effects.push(Effect::SetPrimary(revision));
            self.state.primary_since = None;
            return false;
        }
        if self.primary_is_ready() {
            return true;
        }
        if self.is_overdue(self.state.primary_since, self.observed.primary) {
            self.fail_promotion();
        }
        false
    }

    /// Keeps both sets: the canary is the healthy one now, or at least the primary is not.
    fn fail_promotion(&mut self) {
        if self.canary_is_analysed() && self.observed.canary.is_ready(self.plan.canary_ready) {
            self.route(Routing::split(self.plan.total));
        }
        let (canary, primary) = (self.canary(), self.primary());
        let reason = format!("{primary} did not become ready with the new revision");
        self.warn(format!("Promotion of {canary} failed! {reason}"));
        self.decide(Outcome::FailPromotion, reason, Vec::new());
        self.state.stranded = true;
        self.set_phase(Phase::Failed);
        self.notify(HookKind::PostRollout);
    }
}
