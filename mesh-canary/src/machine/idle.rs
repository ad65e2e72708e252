//! Before a rollout: the primary is made, and a new revision is noticed.

use super::{Gate, Step};
use crate::{Effect, HookKind, Outcome, Phase, Routing};

impl Step<'_> {
    pub(super) fn initialize(&mut self) {
        // A primary that serves already is the healthy version: the state was lost, not the mesh.
        let serving = match self.observed.routing {
            Some(_) => self.observed.primary_revision.clone(),
            None => None,
        };
        let revision = serving.unwrap_or_else(|| self.observed.target.clone());
        if self.observed.primary_revision.as_ref() != Some(&revision) {
            self.effects.push(Effect::SetPrimary(revision));
            return;
        }
        if !self.primary_is_ready() {
            return;
        }
        self.state.last_applied = Some(revision.clone());
        self.state.last_promoted = Some(revision);
        self.set_phase(Phase::Initialized);
        self.effects.push(Effect::Route(Routing::PRIMARY));
        self.scale_canary(false);
        let canary = self.canary();
        self.info(format!("Initialization done! {canary}"));
    }

    pub(super) fn start(&mut self) {
        let target = self.observed.target.clone();
        if self.state.stranded {
            if self.state.promote {
                return self.retry_promotion();
            }
            if self.state.last_promoted.as_ref() == Some(&target) {
                self.begin_rollback("the target was set back".to_owned());
                return self.roll_back();
            }
        }
        if self.state.last_promoted.as_ref() == Some(&target) {
            // Set back: the same failed revision may be tried again later.
            self.state.last_applied = Some(target);
            if self.state.phase == Phase::Waiting {
                self.state.promote = false;
                self.set_phase(Phase::Succeeded);
            }
            return;
        }
        if self.canary_is_analysed() {
            if self.state.phase == Phase::Waiting {
                // Set back to the one that failed before.
                self.state.promote = false;
                self.set_phase(Phase::Failed);
            }
            return;
        }
        if !self.primary_is_ready() {
            return;
        }
        let canary = self.canary();
        if !self.state.promote {
            match self.gate(HookKind::ConfirmRollout) {
                Gate::Asked => return,
                Gate::Open => {}
                Gate::Closed(text) => {
                    if self.state.phase != Phase::Waiting {
                        self.warn(format!(
                            "Halt {canary} advancement waiting for approval {text}"
                        ));
                        self.decide(Outcome::Hold, text, Vec::new());
                        self.set_phase(Phase::Waiting);
                    }
                    return;
                }
            }
        }
        // It is ready, and callers have only it: this is the healthy version now.
        self.state
            .last_promoted
            .clone_from(&self.observed.primary_revision);
        self.info(format!("New revision detected! Scaling up {canary}"));
        self.begin("new revision");
    }

    /// Begins an analysis, or begins it anew, with all traffic on the primary.
    pub(super) fn begin(&mut self, reason: &str) {
        self.route(Routing::PRIMARY);
        self.clear_analysis();
        self.state.last_applied = Some(self.observed.target.clone());
        self.state.stranded = false;
        self.state.canary_since = None;
        self.set_phase(Phase::Progressing);
        self.scale_canary(true);
        self.decide(Outcome::Start, reason.to_owned(), Vec::new());
    }

    fn retry_promotion(&mut self) {
        self.state.promote = false;
        if self.canary_is_analysed() {
            self.state.stranded = false;
            self.state.primary_since = None;
            self.set_phase(Phase::Promoting);
        } else {
            let canary = self.canary();
            self.warn(format!(
                "Nothing to promote: {canary} has another revision since its promotion failed"
            ));
        }
    }
}
