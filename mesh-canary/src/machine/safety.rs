//! Traffic that must leave a set, rollback, and everything a user may ask for at any time.

use super::Step;
use crate::{Effect, HookKind, Outcome, Phase, Routing};

impl Step<'_> {
    /// Moves traffic off a set of which nothing is available, if the other can take it.
    pub(super) fn protect(&mut self) {
        let (primary, canary) = (self.observed.primary, self.observed.canary);
        // After a change of the target, the canary is no longer what was analysed.
        let changed = self.state.phase.is_promotion() && !self.canary_is_analysed();
        let lost = !canary.is_usable() || changed;
        if lost && self.state.routing.is_seen_by_canary() && primary.is_usable() {
            self.route(Routing::PRIMARY);
            let reason = format!("{} has no available replica", self.canary());
            self.warn(format!("Routing all traffic to primary: {reason}"));
            if self.state.phase.is_analysis() {
                // It begins again from the first step, with the checks that failed.
                self.set_phase(Phase::Progressing);
                self.state.iterations = 0;
                self.state.mirrored = false;
                self.state.tick = Default::default();
            }
            self.decide(Outcome::Withdraw, reason, Vec::new());
        }
        let replaced = self.state.phase.is_promotion() || self.state.stranded;
        let replaced = replaced && !primary.is_usable();
        let everything = Routing::split(self.plan.total);
        if replaced
            && self.canary_is_analysed()
            && canary.is_ready(self.plan.canary_ready)
            && self.state.routing != everything
        {
            self.route(everything);
            let primary = self.primary();
            self.warn(format!(
                "Routing all traffic to canary: {primary} has no available replica"
            ));
        }
    }

    /// Asks again for what an earlier step asked for and the world does not show.
    pub(super) fn reconcile(&mut self) {
        if matches!(self.state.phase, Phase::Initializing | Phase::Terminating) {
            return;
        }
        let routed = self
            .effects
            .iter()
            .any(|effect| matches!(effect, Effect::Route(_)));
        let (now, wanted) = (self.observed.routing, self.state.routing);
        if now != Some(wanted) && !routed && self.may_gain(now, wanted) {
            self.effects.push(Effect::Route(wanted));
        }
        let is_up = self.observed.canary.desired > 0;
        let wants_up = self.wants_canary();
        // The last set that can serve does not end, whatever it was for.
        if wants_up != is_up && (wants_up || self.observed.primary.is_usable()) {
            self.scale_canary(wants_up);
        }
    }

    /// Returns true if each set that gets more traffic by a change of routing can serve it.
    fn may_gain(&self, from: Option<Routing>, to: Routing) -> bool {
        let from_canary = from.map_or(0, |from| from.canary);
        let is_gain = |now: bool, then: bool| then && !now;
        let canary = to.canary > from_canary
            || is_gain(from.is_some_and(|from| from.matched), to.matched)
            || is_gain(from.is_some_and(|from| from.mirror > 0), to.mirror > 0);
        let primary = from.is_none_or(|from| {
            let unmatched = from.matched && !to.matched && to.canary < self.plan.total;
            to.canary < from.canary || unmatched
        });
        (!canary || self.observed.canary.is_usable())
            && (!primary || self.observed.primary.is_usable())
    }

    fn wants_canary(&self) -> bool {
        self.state.phase.is_analysis()
            || self.state.phase.is_promotion()
            || self.state.stranded
            || self.state.routing.is_seen_by_canary()
            || self
                .observed
                .routing
                .is_some_and(Routing::is_seen_by_canary)
    }

    pub(super) fn canary_is_analysed(&self) -> bool {
        self.state.last_applied.as_ref() == Some(&self.observed.target)
    }

    /// Takes all traffic off the canary for good, once the healthy version can take it.
    pub(super) fn roll_back(&mut self) {
        let reason = self.state.rollback.clone().unwrap_or_default();
        let promoted = self.state.last_promoted.clone();
        let replaced = self.state.phase.is_promotion() || self.state.stranded;
        if replaced {
            let is_back = self.observed.primary_revision == promoted;
            if let (false, Some(promoted)) = (is_back, promoted) {
                let primary = self.primary();
                self.info(format!("Restoring {primary} to revision {promoted}"));
                self.effects.push(Effect::SetPrimary(promoted));
                return;
            }
            if !self.primary_is_ready() {
                return;
            }
        } else if self.state.phase != Phase::Waiting && !self.observed.primary.is_usable() {
            // Nothing else can serve: whatever callers have now, they keep.
            self.primary_is_ready();
            return;
        }
        let canary = self.canary();
        self.warn(format!("Rolling back {canary} {reason}"));
        self.route(Routing::PRIMARY);
        if self.state.phase == Phase::Waiting {
            // It was not started, and is not to be asked about again.
            self.state.last_applied = Some(self.observed.target.clone());
        } else {
            self.warn(format!("Canary failed! Scaling down {canary}"));
            self.scale_canary(false);
        }
        self.decide(Outcome::RollBack, reason, Vec::new());
        let failed = self.state.failed_checks;
        self.clear_analysis();
        self.state.failed_checks = failed;
        self.state.rollback = None;
        self.state.stranded = false;
        self.set_phase(Phase::Failed);
        self.notify(HookKind::PostRollout);
    }

    pub(super) fn begin_rollback(&mut self, reason: String) {
        self.state.tick = Default::default();
        self.state.promote = false;
        self.state.rollback = Some(reason);
    }

    pub(super) fn ask_rollback(&mut self) {
        let phase = self.state.phase;
        let is_under_way = phase == Phase::Waiting || phase.is_analysis() || phase.is_promotion();
        if self.state.rollback.is_some() {
            return;
        }
        if is_under_way || self.state.stranded {
            self.begin_rollback("aborted by user".to_owned());
        } else {
            let canary = self.canary();
            self.warn(format!("Nothing to abort: {canary} is {phase}"));
        }
    }

    pub(super) fn ask_promotion(&mut self) {
        let phase = self.state.phase;
        let is_possible = phase == Phase::Waiting || phase.is_analysis() || self.state.stranded;
        if is_possible && self.state.rollback.is_none() {
            self.state.tick = Default::default();
            self.state.promote = true;
            self.state.paused = false;
        } else {
            let canary = self.canary();
            self.warn(format!("Nothing to promote: {canary} is {phase}"));
        }
    }

    pub(super) fn delete(&mut self) {
        if matches!(self.state.phase, Phase::Terminating | Phase::Terminated) {
            return;
        }
        self.state.tick = Default::default();
        self.state.rollback = None;
        self.state.promote = false;
        self.state.stranded = false;
        let phase = match self.plan.revert_on_deletion {
            true => Phase::Terminating,
            false => Phase::Terminated,
        };
        self.set_phase(phase);
    }

    /// Gives traffic back to the target once it is ready, and then removes the primary.
    pub(super) fn terminate(&mut self) {
        if self.observed.canary.desired == 0 {
            self.scale_canary(true);
        }
        if self.canary_is_ready() {
            self.effects.push(Effect::Revert);
            self.set_phase(Phase::Terminated);
        }
    }
}
